// Starts a registry that requires a password, and pushes images to it.
import { execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

export const USER = 'ci'
export const PASSWORD = 'pass-W0rd%of"the$tests'

export const digestOf = (bytes) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

/** Starts Debian's docker-registry on a free port. If `readonly` is set, the registry refuses all writes. */
export async function startRegistry ({ readonly = false } = {}) {
  const directory = mkdtempSync(join(tmpdir(), 'polyarch-registry-'))
  const htpasswd = execFileSync('htpasswd', ['-nbB', '-C', '4', USER, PASSWORD])
  writeFileSync(join(directory, 'htpasswd'), htpasswd)
  writeFileSync(join(directory, 'config.yml'), JSON.stringify({
    version: 0.1,
    log: { level: 'info', formatter: 'json' },
    storage: { filesystem: { rootdirectory: join(directory, 'data') }, maintenance: { readonly: { enabled: readonly } } },
    auth: { htpasswd: { realm: 'tests', path: join(directory, 'htpasswd') } },
    http: { addr: '127.0.0.1:0' },
  }))
  const child = spawn('docker-registry', ['serve', join(directory, 'config.yml')], { stdio: ['ignore', 'ignore', 'pipe'] })
  const host = await new Promise((resolve, reject) => {
    const lines = createInterface({ input: child.stderr })
    lines.on('line', (line) => {
      const found = /listening on (127\.0\.0\.1:\d+)/.exec(line)
      if (found) resolve(found[1])
    })
    lines.on('close', () => reject(new Error('docker-registry ended before it opened its port')))
    child.on('error', reject)
  })
  return {
    host,
    stop: () => {
      child.kill()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

export async function request (host, method, path, { body, headers = {} } = {}) {
  const authorization = `Basic ${Buffer.from(`${USER}:${PASSWORD}`).toString('base64')}`
  const response = await fetch(new URL(path, `http://${host}`), { method, body, headers: { ...headers, authorization } })
  const content = Buffer.from(await response.arrayBuffer())
  return { status: response.status, headers: response.headers, content }
}

async function expectStatus (wanted, ...rest) {
  const response = await request(...rest)
  if (response.status !== wanted) throw new Error(`${rest[1]} ${rest[2]}: ${response.status} ${response.content}`)
  return response
}

async function putBlob (host, repository, bytes) {
  const { headers } = await expectStatus(202, host, 'POST', `/v2/${repository}/blobs/uploads/`)
  const location = new URL(headers.get('location'), `http://${host}`)
  location.searchParams.set('digest', digestOf(bytes))
  await expectStatus(201, host, 'PUT', location.pathname + location.search, { body: bytes, headers: { 'content-type': 'application/octet-stream' } })
  return { digest: digestOf(bytes), size: bytes.length }
}

/** Pushes a small image for an architecture, under a tag or a digest. Returns the digest. */
export async function putImage (host, repository, architecture, tag) {
  const config = await putBlob(host, repository, Buffer.from(JSON.stringify({ os: 'linux', architecture, rootfs: { type: 'layers', diff_ids: [] } })))
  const layer = await putBlob(host, repository, Buffer.from(`layer for ${architecture}`))
  const mediaType = 'application/vnd.oci.image.manifest.v1+json'
  const manifest = Buffer.from(JSON.stringify({
    schemaVersion: 2,
    mediaType,
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...config },
    layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', ...layer }],
  }))
  await expectStatus(201, host, 'PUT', `/v2/${repository}/manifests/${tag}`, { body: manifest, headers: { 'content-type': mediaType } })
  return digestOf(manifest)
}

/** Returns the bytes of the index that a tag points to, or undefined. */
export async function manifestAt (host, repository, tag) {
  const accept = 'application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json'
  const { status, content } = await request(host, 'GET', `/v2/${repository}/manifests/${tag}`, { headers: { accept } })
  return status === 200 ? content : undefined
}
