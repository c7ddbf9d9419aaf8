// The GitLab component in a pipeline, run by gitlab-ci-local's shell executor against a registry with a password:
// a matrix hands digests over as artifacts, the component publishes, the next job reads the dotenv report.
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
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

/** Runs a pipeline in a repository of its own. */
function run (inputs, password = PASSWORD) {
  const directory = mkdtempSync(join(tmpdir(), 'polyarch-gitlab-'))
  try {
    const at = (name) => join(directory, name)
    for (const name of ['project/templates/publish', 'bin', 'home']) mkdirSync(at(name), { recursive: true })
    copyFileSync(join(root, 'templates/publish/template.yml'), at('project/templates/publish/template.yml'))
    writeFileSync(at('project/.gitlab-ci.yml'), pipeline(inputs))
    writeFileSync(at('project/.gitignore'), '/.gitlab-ci-local\n')
    symlinkSync(binary, at('bin/polyarch'))
    const env = { PATH: `${at('bin')}:${process.env.PATH}`, HOME: at('home'), LANG: 'C.UTF-8', GIT_CONFIG_NOSYSTEM: '1' }
    const git = (...args) => execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.com', ...args], { cwd: at('project'), env })
    git('init', '-q', '-b', 'main')
    git('remote', 'add', 'origin', 'git@gitlab.example.com:o/app.git')
    git('add', '.')
    git('commit', '-qm', 'pipeline')
    // The variables that GitLab gives every job. A dollar sign is doubled, as in every variable that is expanded.
    const variables = { CI_REGISTRY: registry.host, CI_REGISTRY_USER: USER, CI_REGISTRY_PASSWORD: password.replaceAll('$', '$$$$'), CI_REGISTRY_IMAGE: `${registry.host}/o/app`, GITLAB_CI: 'true' }
    writeFileSync(at('project/.gitlab-ci-local-variables.yml'), JSON.stringify(variables))
    const child = spawnSync('gitlab-ci-local', ['--force-shell-executor', '--shell-isolation'], { cwd: at('project'), env, encoding: 'utf8', timeout: 120_000 })
    const result = { code: child.status, log: child.stdout + child.stderr }
    const json = at('project/polyarch.json')
    const artifact = existsSync(json) ? json : at('project/.gitlab-ci-local/artifacts/publish/polyarch.json')
    result.json = existsSync(artifact) ? readFileSync(artifact, 'utf8') : ''
    for (const secret of [password, Buffer.from(password).toString('base64')]) {
      assert.ok(!result.log.includes(secret) && !result.json.includes(secret), 'the password is told')
    }
    return result
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

test('a matrix hands digests over, and the next job reads what was published', async () => {
  const tags = '$CI_REGISTRY_IMAGE:1.2,$CI_REGISTRY_IMAGE:latest'
  const result = run({ tags, platforms: 'linux/amd64,linux/arm64', annotations: 'a=b\nc=d e' })
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
  const result = run({ tags: '$CI_REGISTRY_IMAGE:dry', push: false })
  assert.equal(result.code, 0, result.log)
  assert.equal(await manifestAt(registry.host, 'o/app', 'dry'), undefined)
  assert.match(result.log, /got= ref= digest=sha256:[0-9a-f]{64}/)
})

test('a missing platform fails the job', async () => {
  const result = run({ tags: '$CI_REGISTRY_IMAGE:missing', platforms: 'linux/s390x' })
  assert.notEqual(result.code, 0)
  assert.match(result.log, /linux\/s390x/)
  assert.equal(await manifestAt(registry.host, 'o/app', 'missing'), undefined)
})

test('a wrong password fails the job and is not told', () => {
  const result = run({ tags: '$CI_REGISTRY_IMAGE:wrong' }, 'not-the-passW0rd')
  assert.notEqual(result.code, 0)
  assert.match(result.log, /CI_REGISTRY_PASSWORD/)
})

test('the component fetches the version that it belongs to', () => {
  const [, version] = /^version = "(.*)"$/m.exec(readFileSync(join(root, 'Cargo.toml'), 'utf8'))
  const template = readFileSync(join(root, 'templates/publish/template.yml'), 'utf8')
  assert.ok(template.includes(`default: v${version}\n`))
})
