// The GitLab component in a pipeline, run by gitlab-ci-local's shell executor against a registry with a password:
// a matrix hands digests over as artifacts, the component publishes, the next job reads the dotenv report.
import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { after, before, test } from 'node:test'
import { assertNoArgument, assertNowhere, filesBelow, traced } from '../action/secrets.mjs'
import { digestOf, manifestAt, PASSWORD, putImage, startRegistry, USER } from '../action/registry.mjs'

const { POLYARCH_BINARY: binary, POLYARCH_ROOT: root } = process.env

let registry, digests

before(async () => {
  registry = await startRegistry()
  digests = [await putImage(registry.host, 'o/app', 'amd64', 'amd64'), await putImage(registry.host, 'o/app', 'arm64', 'arm64')]
})
after(() => registry.stop())

const pipeline = (inputs) => JSON.stringify({
  stages: ['build', 'publish', 'deploy'],
  include: [{ local: 'templates/publish/template.yml', inputs: { stage: 'publish', digests: 'digests', ...inputs } }],
  build: {
    stage: 'build',
    parallel: { matrix: [{ HEX: digests.map((digest) => digest.slice('sha256:'.length)) }] },
    script: ['mkdir -p digests', 'touch "digests/$HEX"'],
    artifacts: { paths: ['digests'] },
  },
  deploy: { stage: 'deploy', script: ['echo "got=$POLYARCH_IMAGE ref=$POLYARCH_REF digest=$POLYARCH_DIGEST"'] },
})

/** Runs a pipeline in a repository of its own. `installed`: the image of the job has polyarch. */
async function run (inputs, { password = PASSWORD, installed = true } = {}) {
  const directory = mkdtempSync(join(tmpdir(), 'polyarch-gitlab-'))
  try {
    const at = (name) => join(directory, name)
    for (const name of ['project/templates/publish', 'bin', 'home']) mkdirSync(at(name), { recursive: true })
    copyFileSync(join(root, 'templates/publish/template.yml'), at('project/templates/publish/template.yml'))
    writeFileSync(at('project/.gitlab-ci.yml'), pipeline(inputs))
    writeFileSync(at('project/.gitignore'), '/.gitlab-ci-local\n')
    if (installed) symlinkSync(binary, at('bin/polyarch'))
    const env = { PATH: `${at('bin')}:${process.env.PATH}`, HOME: at('home'), LANG: 'C.UTF-8', GIT_CONFIG_NOSYSTEM: '1' }
    const git = (...args) => execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.com', ...args], { cwd: at('project'), env })
    git('init', '-q', '-b', 'main')
    git('remote', 'add', 'origin', 'git@gitlab.example.com:o/app.git')
    git('add', '.')
    git('commit', '-qm', 'pipeline')
    // The variables that GitLab gives every job. A dollar sign is doubled, as in every variable that is expanded.
    const variables = { CI_REGISTRY: registry.host, CI_REGISTRY_USER: USER, CI_REGISTRY_PASSWORD: password.replaceAll('$', '$$$$'), CI_REGISTRY_IMAGE: `${registry.host}/o/app`, GITLAB_CI: 'true', POLYARCH_DEBUG: 'true' }
    writeFileSync(at('project/.gitlab-ci-local-variables.yml'), JSON.stringify(variables))
    const options = { cwd: at('project'), env, encoding: 'utf8', timeout: 120_000 }
    const result = await new Promise((resolve) => {
      execFile(...traced(at('trace'), 'gitlab-ci-local', ['--force-shell-executor', '--shell-isolation']), options, (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : error.code, log: stdout + stderr })
      })
    })
    const json = at('project/polyarch.json')
    const artifact = existsSync(json) ? json : at('project/.gitlab-ci-local/artifacts/publish/polyarch.json')
    result.json = existsSync(artifact) ? readFileSync(artifact, 'utf8') : ''
    // What polyarch did, and what it left behind; that the pipeline itself has the password in a file is GitLab's way.
    assertNoArgument([password], at('trace'))
    const files = filesBelow(at('project'))
    delete files[at('project/.gitlab-ci-local-variables.yml')]
    assertNowhere([password], { 'the log': result.log, ...files })
    return result
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

test('a matrix hands digests over, and the next job reads what was published', async () => {
  const tags = '$CI_REGISTRY_IMAGE:1.2,$CI_REGISTRY_IMAGE:latest'
  const result = await run({ tags, platforms: 'linux/amd64,linux/arm64', annotations: 'a=b\nc=d e' })
  assert.equal(result.code, 0, result.log)
  const bytes = await manifestAt(registry.host, 'o/app', '1.2')
  const digest = digestOf(bytes)
  assert.deepEqual(await manifestAt(registry.host, 'o/app', 'latest'), bytes)
  assert.deepEqual(JSON.parse(bytes).manifests.map((entry) => entry.digest).sort(), [...digests].sort())
  assert.deepEqual(JSON.parse(bytes).annotations, { a: 'b', c: 'd e' })
  const image = `${registry.host}/o/app`
  assert.ok(result.log.includes(`got=${image}@${digest} ref=${image}:1.2 digest=${digest}`), result.log)
  assert.equal(JSON.parse(result.json).digest, digest)
})

test('a dry run writes nothing and hands the digest on', async () => {
  const result = await run({ tags: '$CI_REGISTRY_IMAGE:dry', push: false })
  assert.equal(result.code, 0, result.log)
  assert.equal(await manifestAt(registry.host, 'o/app', 'dry'), undefined)
  assert.match(result.log, /got= ref= digest=sha256:[0-9a-f]{64}/)
})

test('a missing platform fails the job', async () => {
  const result = await run({ tags: '$CI_REGISTRY_IMAGE:missing', platforms: 'linux/s390x' })
  assert.notEqual(result.code, 0)
  assert.match(result.log, /linux\/s390x/)
  assert.equal(await manifestAt(registry.host, 'o/app', 'missing'), undefined)
})

test('a wrong password fails the job and is not printed', async () => {
  const result = await run({ tags: '$CI_REGISTRY_IMAGE:wrong' }, { password: 'not-the-passW0rd' })
  assert.notEqual(result.code, 0)
  assert.match(result.log, /CI_REGISTRY_PASSWORD/)
})

/** Serves dist/ as a repository of polyarch does. */
async function serveDist (sums) {
  const content = readFileSync(binary)
  const paths = []
  const server = createServer((request, response) => {
    paths.push(request.url)
    response.end(basename(request.url) === 'SHA256SUMS' ? sums(digestOf(content).slice('sha256:'.length)) : content)
  })
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  return { paths, download: `http://127.0.0.1:${server.address().port}`, stop: () => server.close() }
}

const names = ['polyarch-linux-amd64', 'polyarch-linux-arm64']

test('where the image has no polyarch, the job fetches it', async () => {
  const server = await serveDist((hash) => names.map((name) => `${hash}  ${name}\n`).join(''))
  try {
    const result = await run({ tags: '$CI_REGISTRY_IMAGE:fetched', download: server.download, version: 'v9' }, { installed: false })
    assert.equal(result.code, 0, result.log)
    assert.ok(await manifestAt(registry.host, 'o/app', 'fetched'))
    assert.ok(server.paths.includes('/v9/dist/SHA256SUMS'))
  } finally {
    server.stop()
  }
})

test('what it fetches must be what the checksums say', async () => {
  const server = await serveDist(() => names.map((name) => `${'0'.repeat(64)}  ${name}\n`).join(''))
  try {
    const result = await run({ tags: '$CI_REGISTRY_IMAGE:forged', download: server.download }, { installed: false })
    assert.notEqual(result.code, 0)
    assert.equal(await manifestAt(registry.host, 'o/app', 'forged'), undefined)
  } finally {
    server.stop()
  }
})

test('the component fetches the version that it belongs to', () => {
  const [, version] = /^version = "(.*)"$/m.exec(readFileSync(join(root, 'Cargo.toml'), 'utf8'))
  const template = readFileSync(join(root, 'templates/publish/template.yml'), 'utf8')
  assert.ok(template.includes(`default: v${version}\n`))
})
