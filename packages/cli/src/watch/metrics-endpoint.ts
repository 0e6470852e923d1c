// Figures for a collector on this machine: an endpoint on loopback only, because lag and addresses are nobody else's business.
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { cliError } from '../errors.ts'
import type { ShipperMetrics } from './shipper-metrics.ts'

/** A running endpoint. */
export interface MetricsEndpoint {
  readonly url: string
  close(): Promise<void>
}

/** Serves `/metrics` on 127.0.0.1; port 0 takes a free one. @throws CLI_METRICS_UNAVAILABLE */
export async function serveMetrics(metrics: ShipperMetrics, port: number): Promise<MetricsEndpoint> {
  const server = createServer((request, response) => {
    if (request.method !== 'GET' || request.url !== '/metrics') {
      response.writeHead(404).end()
      return
    }
    metrics.text().then(
      (text) => response.writeHead(200, { 'content-type': metrics.contentType }).end(text),
      () => response.writeHead(500).end(),
    )
  })
  server.listen(port, '127.0.0.1')
  try {
    await once(server, 'listening')
  } catch (cause) {
    throw cliError('CLI_METRICS_UNAVAILABLE', 'the endpoint for metrics cannot be opened', {
      details: { port },
      cause,
    })
  }
  // Figures alone are no reason for a process to live.
  server.unref()
  const { port: bound } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${String(bound)}/metrics`,
    close: async () => {
      if (!server.listening) return
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}
