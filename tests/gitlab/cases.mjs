// Runs the GitLab component in a pipeline, with the shell executor of gitlab-ci-local and a registry that requires a
// password. A matrix passes digests on as artifacts, the component publishes, and the next job reads the dotenv report.
// component.mjs inserts the inputs as text, as GitLab does; gitlab-ci-local would parse the YAML before it inserts them.
import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { after, before, test } from 'node:test'
import { interpolate, readComponent, yaml } from './component.mjs'
import { assertNoArgument, assertNowhere, filesBelow, traced } from '../action/secrets.mjs'
import { digestOf, manifestAt, PASSWORD, putImage, startRegistry, USER } from '../action/registry.mjs'

const { POLYARCH_BINARY: binary, POLYARCH_ROOT: root } = process.env
const component = readComponent(join(root, 'templates/publish/template.yml'))

let registry, digests

before(async () => {
  registry = await startRegistry()
  digests = [await putImage(registry.host, 'o/app', 'amd64', 'amd64'), await putImage(registry.host, 'o/app', 'arm64', 'arm64')]
})
after(() => registry.stop())

/** Returns the jobs of the component. A null value means that the key is not set: https://docs.gitlab.com/ci/yaml/#extends. */
const parse = (given) => yaml.load(interpolate(component, given))
const withoutNull = (jobs) => JSON.parse(JSON.stringify(jobs, (_, value) => value ?? undefined))

const pipeline = (variables) => JSON.stringify({
  stages: ['build', 'publish', 'deploy'],
  include: [{ local: 'publish.yml' }],
  variables,
  build: {
    stage: 'build',
    parallel: { matrix: [{ HEX: digests.map((digest) => digest.slice('sha256:'.length)) }] },
    script: ['mkdir -p digests', 'touch "digests/$HEX"'],
    artifacts: { paths: ['digests'] },
  },
  deploy: { stage: 'deploy', script: ['echo "got=$POLYARCH_IMAGE ref=$POLYARCH_REF digest=$POLYARCH_DIGEST"'] },
})

/** Runs a pipeline in a new repository. If `installed` is set, the image of the job contains polyarch. */
async function run (inputs, { password = PASSWORD, installed = true, variables: own = {} } = {}) {
  const directory = mkdtempSync(join(tmpdir(), 'polyarch-gitlab-'))
  try {
    const at = (name) => join(directory, name)
    for (const name of ['project', 'bin', 'home']) mkdirSync(at(name), { recursive: true })
    writeFileSync(at('project/publish.yml'), JSON.stringify(withoutNull(parse({ stage: 'publish', digests: 'digests', ...inputs }))))
    writeFileSync(at('project/.gitlab-ci.yml'), pipeline(own))
    writeFileSync(at('project/.gitignore'), '/.gitlab-ci-local\n')
    if (installed) symlinkSync(binary, at('bin/polyarch'))
    const env = { PATH: `${at('bin')}:${process.env.PATH}`, HOME: at('home'), LANG: 'C.UTF-8', GIT_CONFIG_NOSYSTEM: '1' }
    const git = (...args) => execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.com', ...args], { cwd: at('project'), env })
    git('init', '-q', '-b', 'main')
    git('remote', 'add', 'origin', 'git@gitlab.example.com:o/app.git')
    git('add', '.')
    git('commit', '-qm', 'pipeline')
    // The variables that GitLab sets in every job. Dollar signs are doubled, because gitlab-ci-local expands variables.
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
    // Only the file with the variables of the pipeline may contain the password.
    assertNoArgument([password], at('trace'))
    const files = filesBelow(at('project'))
    delete files[at('project/.gitlab-ci-local-variables.yml')]
    assertNowhere([password], { 'the log': result.log, ...files })
    return result
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

test('a matrix passes digests, and the next job reads the result', async () => {
  const tags = '$CI_REGISTRY_IMAGE:1.2,$CI_REGISTRY_IMAGE:latest'
  const result = await run({ tags, platforms: 'linux/amd64,linux/arm64', needs: '[build]' }, { variables: { POLYARCH_ANNOTATION: 'a=b\nc="d" # e' } })
  assert.equal(result.code, 0, result.log)
  const bytes = await manifestAt(registry.host, 'o/app', '1.2')
  const digest = digestOf(bytes)
  assert.deepEqual(await manifestAt(registry.host, 'o/app', 'latest'), bytes)
  assert.deepEqual(JSON.parse(bytes).manifests.map((entry) => entry.digest).sort(), [...digests].sort())
  assert.deepEqual(JSON.parse(bytes).annotations, { a: 'b', c: '"d" # e' })
  const image = `${registry.host}/o/app`
  assert.ok(result.log.includes(`got=${image}@${digest} ref=${image}:1.2 digest=${digest}`), result.log)
  assert.equal(JSON.parse(result.json).digest, digest)
  assert.match(result.log, /linux\/arm64/, 'the tree is in the log')
})

test('a dry run writes nothing and reports the digest', async () => {
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

/** Serves dist/ like a repository of polyarch. If `missing` is set, the version does not exist (status 404). */
async function serveDist (sums, { missing = false } = {}) {
  const content = readFileSync(binary)
  const paths = []
  const server = createServer((request, response) => {
    paths.push(request.url)
    if (missing) response.writeHead(404)
    response.end(basename(request.url) === 'SHA256SUMS' ? sums(digestOf(content).slice('sha256:'.length)) : content)
  })
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  return { paths, download: `http://127.0.0.1:${server.address().port}`, stop: () => server.close() }
}

const names = ['polyarch-linux-amd64', 'polyarch-linux-arm64']

test('the job downloads polyarch if the image does not contain it', async () => {
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

test('a download that fails is reported with its URL and status', async () => {
  const server = await serveDist(() => '', { missing: true })
  try {
    const result = await run({ tags: '$CI_REGISTRY_IMAGE:unfetched', download: server.download, version: 'v9' }, { installed: false })
    assert.notEqual(result.code, 0)
    assert.match(result.log, /404/)
    assert.ok(result.log.includes(`cannot download ${server.download}/v9/dist/polyarch-linux-`), result.log)
    assert.match(result.log, /check the inputs version and download/)
  } finally {
    server.stop()
  }
})

test('a binary that does not match its checksum is not run', async () => {
  const server = await serveDist(() => names.map((name) => `${'0'.repeat(64)}  ${name}\n`).join(''))
  try {
    const result = await run({ tags: '$CI_REGISTRY_IMAGE:forged', download: server.download }, { installed: false })
    assert.notEqual(result.code, 0)
    assert.equal(await manifestAt(registry.host, 'o/app', 'forged'), undefined)
  } finally {
    server.stop()
  }
})

test('the default version is the version of the component', () => {
  const [, version] = /^version = "(.*)"$/m.exec(readFileSync(join(root, 'Cargo.toml'), 'utf8'))
  const template = readFileSync(join(root, 'templates/publish/template.yml'), 'utf8')
  assert.ok(template.includes(`default: v${version}\n`))
})

test('the error names missing inputs', async () => {
  for (const [inputs, expected] of [[{}, /missing input tags/], [{ tags: '$CI_REGISTRY_IMAGE:x', digests: '' }, /missing input sources, digests or file/]]) {
    const result = await run(inputs)
    assert.notEqual(result.code, 0)
    assert.match(result.log, expected)
  }
})

test('sources and set-platform are separated by commas', async () => {
  const [amd64, arm64] = ['amd64', 'arm64'].map((tag) => `$CI_REGISTRY_IMAGE:${tag}`)
  const platforms = `${registry.host}/o/app:amd64=linux/amd64/v3,${registry.host}/o/app:arm64=linux(6.1)/arm64/v9`
  const result = await run({ tags: '$CI_REGISTRY_IMAGE:lists', digests: '', sources: `${amd64}, ${arm64}`, 'set-platform': platforms })
  assert.equal(result.code, 0, result.log)
  const { manifests } = JSON.parse(await manifestAt(registry.host, 'o/app', 'lists'))
  assert.deepEqual(manifests.map(({ platform }) => platform.variant), ['v3', 'v9'])
})

const HOSTILE = ['"', "'", '\\', '\n', 'x\n', 'x"\n  before_script: [touch evil]\n  #', '" #', ' # x', '\\" x', '\r', '\u0085', '\u2028', '`id`', '$(id)', ';id', '|id',
  '&a', '*a', '!!x', '%x', '[x]', '{x: y}', ']', '] #', '[a]\nscript: x', '$[[ inputs.tags ]]', '---', '- x', '? x', 'a: b', 'null', '~', 'true', '$CI_COMMIT_TAG', '${CI_COMMIT_TAG}']

test('no value of an input changes another part of the document', () => {
  const names = Object.entries(component.inputs).filter(([, { type, options }]) => type === undefined && options === undefined).map(([name]) => name)
  let accepted = 0
  for (const name of names) {
    const { regex } = component.inputs[name]
    assert.ok(regex.startsWith('^') && regex.endsWith('$') && !/[.]\*|\\s|\\W|\[\^/.test(regex), `${name}: ${regex}`)
    const list = name === 'needs' || name === 'runner-tags'
    const marker = list ? '[marker]' : name === 'download' ? 'https://marker' : 'marker'
    const expected = JSON.stringify(parse({ [name]: marker }))
    for (const hostile of HOSTILE.flatMap((text) => [text, `x${text}`, `https://x${text}`, `[x${text}]`])) {
      let document
      try {
        document = interpolate(component, { [name]: hostile })
      } catch (error) {
        assert.match(error.message, /does not match required RegEx pattern/)
        continue
      }
      accepted += 1
      // Only the value in the place of the marker may differ.
      let value = JSON.stringify(hostile)
      if (list) {
        try {
          value = JSON.stringify(yaml.load(hostile))
        } catch {
          assert.throws(() => yaml.load(document), `${name}: ${JSON.stringify(hostile)}`)
          continue
        }
      }
      const place = list ? '["marker"]' : JSON.stringify(marker)
      assert.equal(JSON.stringify(yaml.load(document)), expected.replace(place, () => value), `${name}: ${JSON.stringify(hostile)}`)
    }
  }
  assert.ok(accepted > 100, `${accepted} values were accepted`)
})

test('the previous test would find an input without quotes or regex', () => {
  const open = { inputs: { x: { default: '' } }, body: 'job:\n  image: $[[ inputs.x ]]\n' }
  assert.deepEqual(Object.keys(yaml.load(interpolate(open, { x: 'a\n  before_script: [id]' })).job), ['image', 'before_script'])
  assert.throws(() => interpolate({ ...open, inputs: { x: { default: '', regex: '^[a-z]*$' } } }, { x: 'a\n' }), /RegEx/)
})
