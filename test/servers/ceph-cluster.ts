/** A Ceph of one monitor, one disk (a sparse file) and one S3 gateway, in a folder of its own; it is killed and deleted after use. */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { closeSync, mkdirSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'

const MONITOR = 'v2:127.0.0.1:17300'
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

export class CephCluster {
  readonly endpoint = 'http://127.0.0.1:17480'
  readonly #folder: string
  readonly #conf: string
  readonly #processes: ChildProcess[] = []

  private constructor(folder: string) {
    this.#folder = folder
    this.#conf = join(folder, 'ceph.conf')
  }

  static async start(folder: string, user: { accessKey: string; secretKey: string }): Promise<CephCluster> {
    const cluster = new CephCluster(folder)
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
    for (const child of this.#processes) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      const ended = new Promise((resolve) => child.once('exit', resolve))
      child.kill('SIGKILL')
      await ended
    }
    rmSync(this.#folder, { recursive: true, force: true })
  }

  async #start({ accessKey, secretKey }: { accessKey: string; secretKey: string }): Promise<void> {
    const [cluster, disk] = [randomUUID(), randomUUID()]
    for (const name of ['mon', 'osd', 'run', 'log', 'crash'])
      mkdirSync(join(this.#folder, name), { recursive: true })
    writeFileSync(this.#conf, configuration(this.#folder, cluster))
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
    await run('monmaptool', ['--create', '--fsid', cluster, '--addv', 'a', `[${MONITOR}]`, map])
    await run('ceph-mon', ['--mkfs', '-i', 'a', '--monmap', map, '--keyring', keyring, '-c', this.#conf])
    this.#spawn('ceph-mon', ['-f', '-i', 'a'])
    await Promise.all([
      run('ceph-osd', ['--mkfs', '-i', '0', '--osd-uuid', disk, '-c', this.#conf]),
      run('ceph', ['-c', this.#conf, '--connect-timeout', '30', 'osd', 'new', disk]),
    ])
    this.#spawn('ceph-osd', ['-f', '-i', '0'])
    this.#spawn('radosgw', ['-f', '-n', 'client.rgw.a'])
    await this.#answers()
    const names = [
      '--uid=test',
      '--display-name=test',
      `--access-key=${accessKey}`,
      `--secret-key=${secretKey}`,
    ]
    await run('radosgw-admin', ['-c', this.#conf, 'user', 'create', ...names])
  }

  #spawn(program: string, parameters: readonly string[]): void {
    const log = openSync(join(this.#folder, 'log', `${program}.out`), 'a')
    this.#processes.push(spawn(program, [...parameters, '-c', this.#conf], { stdio: ['ignore', log, log] }))
    closeSync(log)
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

/** Small, without a copy of anything, and with all of its files in the folder. */
function configuration(folder: string, cluster: string): string {
  return `[global]
fsid = ${cluster}
mon_host = ${MONITOR}
mon_initial_members = a
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_msgr1 = false
ms_bind_ipv6 = false
ms_bind_port_min = 17310
ms_bind_port_max = 17390
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
rgw_frontends = beast endpoint=127.0.0.1:17480 tcp_nodelay=1
rgw_dns_name = localhost
rgw_enable_usage_log = false
rgw_run_sync_thread = false
`
}
