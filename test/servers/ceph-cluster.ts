/** A Ceph of one monitor, one disk (a sparse file) and one S3 gateway, in a folder of its own; it is killed and deleted after use. */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { closeSync, mkdirSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'

const START_MS_MAX = 60_000
const run = promisify(execFile)

/** Whether the three programs are here. */
export function hasCeph(): boolean {
  try {
    for (const program of ['ceph-mon', 'ceph-osd', 'radosgw']) execFileSync(program, ['--version'])
    return true
  } catch {
    return false
  }
}

/** How to start a cluster. */
export interface CephOptions {
  readonly accessKey: string
  readonly secretKey: string
  /** The first of 200 ports that it may use: clusters of tests that run at the same time need different ones. */
  readonly firstPort: number
}

export class CephCluster {
  readonly endpoint: string
  readonly #folder: string
  readonly #conf: string
  readonly #firstPort: number
  readonly #processes: ChildProcess[] = []
  #gateway: ChildProcess | undefined

  private constructor(folder: string, firstPort: number) {
    this.#folder = folder
    this.#conf = join(folder, 'ceph.conf')
    this.#firstPort = firstPort
    this.endpoint = `http://127.0.0.1:${String(firstPort + 180)}`
  }

  static async start(folder: string, user: CephOptions): Promise<CephCluster> {
    const cluster = new CephCluster(folder, user.firstPort)
    try {
      await cluster.#start(user)
      return cluster
    } catch (error) {
      await cluster.destroy()
      throw error
    }
  }

  /** Ends it at once: nobody wants what it holds. */
  async destroy(): Promise<void> {
    for (const child of this.#processes) await killed(child)
    rmSync(this.#folder, { recursive: true, force: true })
  }

  /** Ends the S3 gateway at once, whatever it is doing; the disk behind it goes on. */
  async killGateway(): Promise<void> {
    if (this.#gateway !== undefined) await killed(this.#gateway)
  }

  /** Starts the gateway; it answers when this resolves. */
  async startGateway(): Promise<void> {
    this.#gateway = this.#spawn('radosgw', ['-f', '-n', 'client.rgw.a'])
    await this.#answers()
  }

  async #start({ accessKey, secretKey }: CephOptions): Promise<void> {
    const monitor = `v2:127.0.0.1:${String(this.#firstPort)}`
    const [cluster, disk] = [randomUUID(), randomUUID()]
    for (const name of ['mon', 'osd', 'run', 'log', 'crash'])
      mkdirSync(join(this.#folder, name), { recursive: true })
    writeFileSync(this.#conf, configuration({ folder: this.#folder, cluster, firstPort: this.#firstPort }))
    const keyring = join(this.#folder, 'keyring')
    const map = join(this.#folder, 'monmap')
    const all = ['--cap', 'mon', 'allow *', '--cap', 'osd', 'allow *', '--cap', 'mgr', 'allow *']
    const keys = [
      ['mon.', '--cap', 'mon', 'allow *'],
      ['client.admin', ...all],
      ['osd.0', '--cap', 'mon', 'allow profile osd', '--cap', 'osd', 'allow *'],
      ['client.rgw.a', '--cap', 'mon', 'allow rw', '--cap', 'osd', 'allow rwx'],
    ]
    await run('ceph-authtool', ['--create-keyring', keyring])
    for (const [name = '', ...caps] of keys) {
      await run('ceph-authtool', [keyring, '--gen-key', '-n', name, ...caps])
    }
    await run('monmaptool', ['--create', '--fsid', cluster, '--addv', 'a', `[${monitor}]`, map])
    await run('ceph-mon', ['--mkfs', '-i', 'a', '--monmap', map, '--keyring', keyring, '-c', this.#conf])
    this.#spawn('ceph-mon', ['-f', '-i', 'a'])
    await Promise.all([
      run('ceph-osd', ['--mkfs', '-i', '0', '--osd-uuid', disk, '-c', this.#conf]),
      run('ceph', ['-c', this.#conf, '--connect-timeout', '30', 'osd', 'new', disk]),
    ])
    this.#spawn('ceph-osd', ['-f', '-i', '0'])
    await this.startGateway()
    const names = [
      '--uid=test',
      '--display-name=test',
      `--access-key=${accessKey}`,
      `--secret-key=${secretKey}`,
    ]
    await run('radosgw-admin', ['-c', this.#conf, 'user', 'create', ...names])
  }

  #spawn(program: string, parameters: readonly string[]): ChildProcess {
    const log = openSync(join(this.#folder, 'log', `${program}.out`), 'a')
    const child = spawn(program, [...parameters, '-c', this.#conf], { stdio: ['ignore', log, log] })
    this.#processes.push(child)
    closeSync(log)
    return child
  }

  async #answers(): Promise<void> {
    const end = Date.now() + START_MS_MAX
    for (;;) {
      const status = await fetch(this.endpoint).then(
        (response) => response.status,
        () => 0,
      )
      if (status === 200) return
      if (Date.now() > end) throw new Error(`the gateway did not answer, status=${String(status)}`)
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
  }
}

async function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await ended
}

interface Place {
  readonly folder: string
  readonly cluster: string
  readonly firstPort: number
}

/** Small, without a copy of anything, and with all of its files in the folder. */
function configuration({ folder, cluster, firstPort }: Place): string {
  return `[global]
fsid = ${cluster}
mon_host = v2:127.0.0.1:${String(firstPort)}
mon_initial_members = a
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_msgr1 = false
ms_bind_ipv6 = false
ms_bind_port_min = ${String(firstPort + 10)}
ms_bind_port_max = ${String(firstPort + 90)}
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
auth_allow_insecure_global_id_reclaim = false
keyring = ${folder}/keyring
run_dir = ${folder}/run
admin_socket = ${folder}/run/$name.asok
pid_file = ${folder}/run/$name.pid
log_file = ${folder}/log/$name.log
crash_dir = ${folder}/crash
osd_pool_default_size = 1
osd_pool_default_min_size = 1
mon_allow_pool_size_one = true
osd_pool_default_pg_num = 4
osd_pool_default_pgp_num = 4
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_max_pg_per_osd = 1000
[mon]
mon_data = ${folder}/mon
paxos_propose_interval = 0.05
paxos_min_wait = 0.01
mon_data_avail_warn = 2
mon_data_avail_crit = 1
mon_warn_on_pool_no_redundancy = false
[osd]
osd_data = ${folder}/osd
osd_objectstore = bluestore
bluestore_block_size = 21474836480
bluestore_cache_autotune = false
bluestore_cache_size = 268435456
osd_memory_target = 1073741824
[client.rgw.a]
rgw_frontends = beast endpoint=127.0.0.1:${String(firstPort + 180)} tcp_nodelay=1
rgw_dns_name = localhost
rgw_enable_usage_log = false
rgw_run_sync_thread = false
`
}
