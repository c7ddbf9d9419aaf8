// Runs the Action as in the workflow of a user, and checks outputs, annotations and the summary.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { digestOf, manifestAt, PASSWORD, putImage, request, startRegistry, USER } from './registry.mjs'
import { parseOutputs, readAction, run as runAction } from './runner.mjs'
import { assertNoArgument, assertNowhere, traced } from './secrets.mjs'

const { POLYARCH_BINARY: binary, POLYARCH_ROOT: root } = process.env
const OUTPUTS = ['digest', 'media-type', 'size', 'platforms', 'tags', 'kept', 'images', 'json', 'index-path', 'subject-name', 'subject-digest', 'subjects']
const HOSTILE = ['x\ny z', 'x\r\ndigest=sha256:evil', '::error::x', '##[error]x', '%0Adigest=x', '`x`', 'a|b', '<img src=x>', '$(touch evil)', "';touch evil;'"]

let registry, amd64, arm64

/** Runs the action with the password. Checks that no secret is visible and that no output is written twice. */
async function run (options) {
  const { registry: host = registry.host, ...rest } = options
  const credentials = { registry: host, username: USER, password: PASSWORD }
  const secrets = [rest.with?.password || PASSWORD, 'ghs_tokenOfTheJob']
  let processes, paths
  // The highest verbosity: every request is logged.
  const env = { POLYARCH_DEBUG: 'true', ...rest.env }
  const inspect = (trace, files) => {
    processes = assertNoArgument(secrets, trace)
    assertNowhere(secrets, files)
    paths = Object.keys(files)
  }
  const result = await runAction(root, binary, { ...rest, env, with: { ...credentials, ...rest.with }, inspect })
  assert.ok(processes.some((line) => line.includes('scripts/action/run')), 'the processes were not traced')
  result.files = paths
  result.debug = result.log.filter((line) => line.startsWith('debug: '))
  assertNowhere(secrets, {
    'the log': result.log.join('\n'),
    'the annotations': JSON.stringify(result.annotations),
    'the summary': result.summary,
    'the outputs': JSON.stringify(result.rawOutputs),
  })
  result.log = result.log.filter((line) => !line.startsWith('debug: '))
  // GitHub drops an output that contains a masked value.
  for (const [name, value] of Object.entries(result.outputs)) {
    for (const mask of result.masks) assert.ok(!value.includes(mask), `output ${name} would be dropped`)
  }
  const names = result.rawOutputs.map(([name]) => name)
  assert.equal(new Set(names).size, names.length, 'each output is written once')
  assert.ok(names.every((name) => OUTPUTS.includes(name)), names.join())
  for (const { name, data } of result.annotations) {
    assert.ok(['error', 'warning', 'notice'].includes(name), `unexpected workflow command ${name}`)
    assert.ok(data.length <= 4096)
  }
  assert.ok(result.summaryBytes <= 1024 * 1024)
  return result
}

const errors = (result) => result.annotations.filter(({ name }) => name === 'error').map(({ data }) => data)
const at = (repository, tag) => `${registry.host}/${repository}:${tag}`

function assertPushed (result, references) {
  assert.equal(result.code, 0, result.log.join('\n'))
  assert.deepEqual(result.outputs.tags.split('\n'), references)
}

before(async () => {
  registry = await startRegistry()
  amd64 = await putImage(registry.host, 'o/app', 'amd64', 'amd64')
  arm64 = await putImage(registry.host, 'o/app', 'arm64', 'arm64')
})
after(() => registry.stop())

describe('the test runner', () => {
  test('reads outputs as GitHub does', () => {
    assert.deepEqual(parseOutputs('a=b<<c\nd<<E\ne=f\n\ng\nE\nh<<E\nE\n'), [['a', 'b<<c'], ['d', 'e=f\n\ng'], ['h', '']])
    for (const wrong of ['a', '<<E\nE\n', 'a<<E\nb\n', 'a<<E\nb']) assert.throws(() => parseOutputs(wrong))
  })
  test('finds a secret in every form, and in the arguments of a process', () => {
    for (const text of ['hunter2', 'ci:hunter2', 'joe:hunter2', 'anna:hunter2, and more']) {
      for (const place of [text, Buffer.from(text).toString('base64')]) {
        assert.throws(() => assertNowhere(['hunter2'], { place }), /a secret is in place/)
      }
    }
    assertNowhere(['hunter2'], { place: Buffer.from('ci:hunting').toString('base64') })
    const directory = mkdtempSync(join(tmpdir(), 'polyarch-trace-'))
    const trace = join(directory, 'trace')
    for (const secret of ['hunter2', PASSWORD]) {
      execFileSync(...traced(trace, 'sh', ['-c', 'true; /bin/echo "$0"', secret]), { stdio: 'ignore' })
      assert.throws(() => assertNoArgument([secret], trace), /an argument/)
      assertNoArgument(['something else'], trace)
    }
    rmSync(directory, { recursive: true })
  })
  test('finds every documented input and output', () => {
    const action = readAction(join(root, 'action.yml'))
    assert.deepEqual(action.outputs.map(({ id }) => id), OUTPUTS)
    assert.deepEqual(action.inputs.map(({ id }) => id).sort(), ['annotate', 'annotations', 'append', 'args', 'attestations', 'check', 'command',
      'digests', 'file', 'if-exists', 'image', 'insecure', 'labels-as-annotations', 'media-type', 'on-duplicate', 'password', 'platforms', 'push',
      'referrers', 'registry', 'set-platform', 'sources', 'summary', 'tags', 'username', 'verify', 'wait'])
  })
})

describe('publish', () => {
  test('publishes two images under two tags in one step', async () => {
    const tags = [at('o/app', '1.2'), at('o/app', 'latest')]
    const result = await run({ with: { tags: tags.join('\n'), sources: `${at('o/app', 'amd64')}\n${at('o/app', 'arm64')}` } })
    assertPushed(result, tags)
    const { outputs } = result
    const bytes = await manifestAt(registry.host, 'o/app', '1.2')
    assert.equal(outputs.digest, digestOf(bytes))
    assert.equal(outputs.size, String(bytes.length))
    assert.equal(outputs['media-type'], 'application/vnd.oci.image.index.v1+json')
    assert.equal(outputs.platforms, 'linux/amd64,linux/arm64')
    assert.equal(outputs.images, `${registry.host}/o/app@${outputs.digest}`)
    assert.equal(outputs['subject-name'], `${registry.host}/o/app`)
    assert.equal(outputs['subject-digest'], outputs.digest)
    assert.deepEqual(JSON.parse(outputs.subjects), [{ 'subject-name': `${registry.host}/o/app`, 'subject-digest': outputs.digest }])
    assert.equal(JSON.parse(outputs.json).digest, outputs.digest)
    assert.deepEqual(result.index, bytes)
    assert.match(result.summary, /^## 📦 Published/)
    assert.ok(result.summary.includes('`linux/arm64`') && result.summary.includes(arm64))
    assert.ok(result.masks.includes(PASSWORD), 'the password is masked')
    assert.deepEqual(errors(result), [])
  })

  test('accepts the digest files of the Docker documentation', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'polyarch-digests-'))
    try {
      for (const [job, digest] of [['linux-amd64', amd64], ['linux-arm64', arm64]]) {
        mkdirSync(join(directory, job))
        writeFileSync(join(directory, job, digest.slice('sha256:'.length)), '')
      }
      const result = await run({ with: { tags: at('o/app', 'digests'), digests: directory, platforms: 'linux/amd64,linux/arm64' } })
      assertPushed(result, [at('o/app', 'digests')])
      assert.equal(result.outputs.platforms.split(',').length, 2)
    } finally {
      rmSync(directory, { recursive: true })
    }
  })

  test('accepts the tags of docker/metadata-action, and toJSON(needs.build.outputs)', async () => {
    const env = { DOCKER_METADATA_OUTPUT_TAGS: `${at('o/app', 'meta')}\n${at('o/app', 'meta2')}` }
    const sources = JSON.stringify({ amd: amd64, arm: arm64 })
    const result = await run({ with: { sources, 'labels-as-annotations': 'org.opencontainers.image.title=app' }, env })
    assertPushed(result, env.DOCKER_METADATA_OUTPUT_TAGS.split('\n'))
    assert.equal(JSON.parse(result.index).annotations['org.opencontainers.image.title'], 'app')
  })

  test('a dry run writes nothing and has the digest of the real run', async () => {
    const step = { tags: at('o/app', 'dry'), sources: `${amd64},${arm64}`.replace(',', '\n') }
    const dry = await run({ with: { ...step, push: 'false' } })
    assert.equal(dry.code, 0, dry.log.join('\n'))
    assert.equal(await manifestAt(registry.host, 'o/app', 'dry'), undefined)
    for (const name of ['tags', 'images', 'subject-name', 'subject-digest']) assert.equal(dry.outputs[name], '')
    assert.equal(dry.outputs.subjects, '[]')
    assert.match(dry.summary, /^## 🔍 Dry run/)
    const real = await run({ with: step })
    assertPushed(real, [step.tags])
    assert.equal(real.outputs.digest, dry.outputs.digest)
    assert.deepEqual(real.index, dry.index)
  })

  test('a missing platform is refused, and nothing is published', async () => {
    const result = await run({ with: { tags: at('o/app', 'missing'), sources: `${amd64}\n${arm64}`, platforms: 'linux/amd64,linux/s390x' } })
    assert.equal(result.code, 5)
    assert.equal(await manifestAt(registry.host, 'o/app', 'missing'), undefined)
    assert.equal(result.outputs.digest, '')
    assert.match(errors(result).join(), /linux\/s390x/)
    assert.match(result.summary, /^## ❌ Nothing was published/)
  })

  test('a wrong password is reported without its value', async () => {
    const result = await run({ with: { tags: at('o/app', 'wrong'), sources: amd64, password: 'not-the-passW0rd' } })
    assert.equal(result.code, 3)
    assert.equal(errors(result).length, 1)
    assert.match(result.summary, /❌/)
  })

  test('after a partial failure the outputs list the pushed tags', async () => {
    const closed = await startRegistry({ readonly: true })
    try {
      const env = { POLYARCH_REGISTRY_2: closed.host, POLYARCH_USERNAME_2: USER, POLYARCH_PASSWORD_2: PASSWORD, POLYARCH_RETRY_FOR: '0' }
      const sources = `${at('o/app', 'amd64')}\n${at('o/app', 'arm64')}`
      const result = await run({ with: { tags: `${at('o/app', 'partial')},${closed.host}/o/app:partial`, sources }, env })
      assert.equal(result.code, 7, result.log.join('\n'))
      assert.equal(result.outputs.tags, at('o/app', 'partial'))
      assert.equal(result.outputs.digest, digestOf(await manifestAt(registry.host, 'o/app', 'partial')))
      assert.equal(result.outputs.images, `${registry.host}/o/app@${result.outputs.digest}`)
      assert.equal(JSON.parse(result.outputs.json).status, 'partial')
      assert.match(errors(result).join(), new RegExp(closed.host.replaceAll('.', '\\.')))
      assert.match(result.summary, /^## ⚠️ Partly published/)
    } finally {
      closed.stop()
    }
  })

  test('no secret is logged at the highest verbosity', async () => {
    for (const password of [PASSWORD, 'not-the-passW0rd']) {
      const result = await run({ with: { tags: at('o/app', 'debug'), sources: `${amd64}\n${arm64}`, password } })
      assert.ok(result.debug.length > 0, result.log.join('\n'))
    }
  })

  for (const hostile of HOSTILE) {
    test(`a tag with ${JSON.stringify(hostile)} is refused as invalid`, async () => {
      const result = await run({ with: { tags: `${registry.host}/o/app:${hostile}`, sources: amd64 } })
      assert.notEqual(result.code, 0)
      assert.equal(result.outputs.digest, '')
      assert.equal(errors(result).length, 1, JSON.stringify(result.annotations))
      assert.ok(!/<img|\n::|`x`/.test(result.summary), result.summary)
    })
    test(`an annotation with ${JSON.stringify(hostile)} is published unchanged`, async () => {
      const [line] = hostile.split(/\r?\n/)
      const annotations = `a=1\nb=${line}`
      const result = await run({ with: { tags: at('o/app', 'hostile'), sources: `${amd64}\n${arm64}`, annotations } })
      assertPushed(result, [at('o/app', 'hostile')])
      assert.deepEqual(JSON.parse(result.index).annotations, { a: '1', b: line })
      assert.equal(result.outputs.digest, digestOf(result.index))
      assert.deepEqual(errors(result), [])
    })
  }

  test('nine hundred tags are listed, one per line', async () => {
    const tags = Array.from({ length: 900 }, (_, n) => at('o/many', `1.2.${n}`))
    const sources = `${at('o/app', 'amd64')}\n${at('o/app', 'arm64')}`
    const result = await run({ with: { tags: tags.join('\n'), sources, verify: 'false' } })
    assertPushed(result, tags)
    assert.match(result.summary, /<summary>900 tags<\/summary>/)
  })

  test('a summary that is too long is truncated with a notice', async () => {
    const many = (key) => Array.from({ length: 1000 }, (_, n) => `${key}${n}=${'<'.repeat(100)}`).join('\n')
    const sources = `${amd64}\n${arm64}`
    const result = await run({ with: { tags: at('o/app', 'long'), sources, annotations: many('a'), 'labels-as-annotations': many('l') } })
    assertPushed(result, [at('o/app', 'long')])
    assert.ok(result.summaryBytes <= 900 * 1024 && result.summaryBytes > 890 * 1024, `${result.summaryBytes} bytes`)
    assert.match(result.summary, /This summary was cut here/)
  })
})

describe('inputs', () => {
  test('the error names a missing input', async () => {
    assert.match(errors(await run({ with: { tags: at('o/app', '1') } })).join(), /'sources'.*'digests'/)
    assert.match(errors(await run({ with: { sources: amd64 } })).join(), /'tags'/)
  })
  test('the error names an input that is neither true nor false', async () => {
    for (const name of ['push', 'verify', 'summary', 'append', 'insecure']) {
      const result = await run({ with: { tags: at('o/app', '1'), sources: amd64, [name]: 'ye,s\n::error::x' } })
      assert.equal(result.code, 2)
      assert.match(errors(result).join(), new RegExp(`'${name}'`))
    }
  })
  test('an unknown value is an error, not a workflow command', async () => {
    for (const name of ['check', 'if-exists', 'media-type', 'attestations', 'on-duplicate']) {
      const result = await run({ with: { tags: at('o/app', '1'), sources: amd64, [name]: 'x\n::error::pwn' } })
      assert.equal(result.code, 2)
      assert.equal(errors(result).length, 1, JSON.stringify(result.annotations))
      assert.equal(result.annotations[0].properties.title, `polyarch: invalid input ${name}`)
      assert.match(errors(result).join(), new RegExp(`'${name}' must be one of`))
    }
  })
  test('an unsupported runner is an error', async () => {
    for (const machine of [['Windows', 'X64'], ['macOS', 'ARM64'], ['Linux', 'ARM']]) {
      const result = await run({ with: { tags: at('o/app', '1'), sources: amd64 }, machine })
      assert.equal(result.code, 2)
      assert.match(errors(result).join(), new RegExp(machine.join('/')))
    }
  })
  test('the summary can be disabled', async () => {
    const result = await run({ with: { tags: at('o/app', 'quiet'), sources: `${amd64}\n${arm64}`, summary: 'false' } })
    assertPushed(result, [at('o/app', 'quiet')])
    assert.equal(result.summary, '')
  })
})

describe('the same inputs for every command', () => {
  let home
  before(() => { home = mkdtempSync(join(tmpdir(), 'polyarch-home-')) })
  after(() => rmSync(home, { recursive: true }))
  const step = (command, inputs, env = {}) => run({ with: { command, ...inputs }, env: { HOME: home, ...env } })
  const done = async (...args) => {
    const result = await step(...args)
    assert.equal(result.code, 0, JSON.stringify(result))
    return result
  }

  test('create, annotate and push publish a list', async () => {
    const tags = [at('o/app', 'list'), at('o/app', 'list-2'), at('o/other-list', '1')].join('\n')
    await done('create', { tags, sources: `${at('o/app', 'amd64')}\n${arm64}` })
    const annotations = `org.opencontainers.image.title=my app, first\n${at('o/app', 'amd64')}=>note=x`
    const platforms = `${arm64}=linux(6.1+sve+bti)/arm64/v9\n${at('o/app', 'amd64')}=linux/amd64/v3`
    const annotated = await done('annotate', { tags, annotations, 'set-platform': platforms })
    assert.match(annotated.log.join('\n'), /amd64 in .*:list is linux\/amd64\/v3/)
    const pushed = await done('push', { tags })
    assert.deepEqual(pushed.outputs.tags.split('\n'), tags.split('\n'))
    assert.match(pushed.summary, /^## 📦 Published/)
    const bytes = await manifestAt(registry.host, 'o/other-list', '1')
    assert.equal(pushed.outputs.digest, digestOf(bytes))
    const { annotations: onIndex, manifests } = JSON.parse(bytes)
    assert.deepEqual(onIndex, { 'org.opencontainers.image.title': 'my app, first' })
    assert.deepEqual(manifests.map(({ platform }) => platform), [
      { architecture: 'amd64', os: 'linux', variant: 'v3' },
      { architecture: 'arm64', os: 'linux', 'os.version': '6.1', 'os.features': ['sve', 'bti'], variant: 'v9' },
    ])
    assert.deepEqual(manifests[0].annotations, { note: 'x' })
  })
  test('append amends a list', async () => {
    const tags = at('o/app', 'amended')
    await done('create', { tags, sources: at('o/app', 'amd64') })
    assert.notEqual((await step('create', { tags, sources: at('o/app', 'arm64') })).code, 0)
    await done('create', { tags, sources: at('o/app', 'arm64'), append: 'true' })
    await done('push', { tags })
    assert.equal(JSON.parse(await manifestAt(registry.host, 'o/app', 'amended')).manifests.length, 2)
  })
  test('docker/metadata-action sets the tags, but no annotations', async () => {
    const env = { DOCKER_METADATA_OUTPUT_TAGS: `${at('o/app', 'meta-list')},${at('o/app', 'meta-more')}`, DOCKER_METADATA_OUTPUT_ANNOTATIONS: 'index:a=b' }
    await done('create', { sources: `${amd64},${arm64}` }, env)
    const pushed = await done('push', {}, env)
    assert.deepEqual(pushed.outputs.tags.split('\n'), env.DOCKER_METADATA_OUTPUT_TAGS.split(','))
    assert.equal(JSON.parse(await manifestAt(registry.host, 'o/app', 'meta-list')).annotations, undefined)
  })
  test('copy pushes one image under several tags', async () => {
    const tags = `${at('o/copied', '1')}\n${at('o/copied', 'latest')}`
    const inputs = { tags, sources: at('o/app', 'list') }
    const dry = await done('copy', { ...inputs, push: 'false' })
    assert.equal((await request(registry.host, 'GET', '/v2/o/copied/manifests/1')).status, 404)
    const copied = await done('copy', inputs)
    assert.deepEqual(copied.outputs.tags.split('\n'), tags.split('\n'))
    assert.equal(copied.outputs.digest, dry.outputs.digest)
    await done('copy', { tags: at('o/copied', 'amd64'), sources: at('o/app', 'list'), platforms: 'linux/amd64/v3' })
    const two = await step('copy', { tags, sources: `${amd64}\n${arm64}` })
    assert.match(errors(two).join(), /'command: copy' copies one image, but 'sources' has 2 lines/)
  })
  test('inspect reads sources, or tags without sources', async () => {
    const both = await done('inspect', { sources: `${at('o/app', 'amd64')}\n${at('o/app', 'arm64')}`, args: '--raw' })
    assert.equal(both.log.join('\n').match(/"schemaVersion"/g).length, 2)
    await done('inspect', { tags: at('o/app', 'amd64') })
    assert.equal((await step('inspect', { sources: at('o/app', 'nowhere') })).code, 4)
  })

  test('check reads sources, or tags without sources', async () => {
    const result = await done('check', { sources: `${at('o/app', 'list')},${at('o/app', 'amd64')}` })
    assert.match(result.log.join('\n'), /:list sha256:/)
    await done('check', { tags: at('o/app', 'list'), check: 'manifests' })
    assert.equal((await step('check', { sources: at('o/app', 'nowhere') })).code, 4)
  })
  test('if-exists keeps or refuses tags that point elsewhere', async () => {
    const inputs = { tags: at('o/app', 'list'), sources: `${amd64}\n${arm64}` }
    const before = await manifestAt(registry.host, 'o/app', 'list')
    const kept = await done('publish', { ...inputs, 'if-exists': 'keep' })
    assert.equal(kept.outputs.kept, inputs.tags)
    assert.equal(kept.outputs.tags, '')
    assert.equal((await step('publish', { ...inputs, 'if-exists': 'refuse' })).code, 5)
    assert.deepEqual(await manifestAt(registry.host, 'o/app', 'list'), before)
  })
  test('wait ends with an error if a source does not appear', async () => {
    const result = await step('publish', { tags: at('o/app', 'x'), sources: at('o/app', 'nowhere'), wait: '1s' })
    assert.equal(result.code, 4)
  })

  test('an input that the command does not use is an error', async () => {
    const image = { tags: at('o/app', 'x'), sources: amd64 }
    for (const [command, input, value] of [
      ['create', 'platforms', 'linux/amd64'], ['create', 'digests', 'digests'], ['create', 'push', 'false'], ['annotate', 'sources', amd64],
      ['annotate', 'append', 'true'], ['push', 'sources', amd64], ['push', 'annotations', 'a=b'], ['copy', 'annotations', 'a=b'],
      ['copy', 'file', 'spec.yml'], ['copy', 'wait', '1m'], ['push', 'if-exists', 'keep'], ['check', 'append', 'true'], ['copy', 'media-type', 'oci'], ['inspect', 'verify', 'false'], ['inspect', 'set-platform', `${amd64}=linux/arm64`],
    ]) {
      const result = await step(command, { ...(['push', 'annotate'].includes(command) ? { tags: image.tags } : image), [input]: value })
      assert.equal(result.code, 2, `${command} ${input}`)
      assert.match(errors(result).join(), new RegExp(`The input '${input}.*' has no effect with 'command: ${command}'`))
    }
  })
  test('the error names a missing input of each command', async () => {
    for (const [command, inputs, expected] of [
      ['create', { sources: at('o/app', 'amd64') }, /'tags' \(the name of the list\)/], ['create', { tags: at('o/app', 'x') }, /'sources'/],
      ['annotate', { tags: at('o/app', 'x') }, /'set-platform'/], ['push', {}, /'tags'/], ['copy', { tags: at('o/app', 'x') }, /'sources'/],
      ['copy', { sources: amd64 }, /'image'/], ['inspect', {}, /'sources'/], ['check', {}, /'sources'/], ['publish', { file: 'a.yml', tags: at('o/app', 'x') }, /The input 'file' names the tags/],
      ['create', { tags: at('o/app', 'x'), sources: JSON.stringify([amd64]) }, /JSON in 'sources' is only for 'command: publish'/],
      ['annotate', { tags: at('o/app', 'x'), 'set-platform': amd64 }, /is not SOURCE=PLATFORM/],
      ['annotate', { tags: at('o/app', 'x'), 'set-platform': `${amd64}=arm64` }, /'arm64' is not a platform/],
    ]) {
      const result = await step(command, inputs)
      assert.equal(result.code, 2, command)
      assert.match(errors(result).join(), expected)
    }
  })
  for (const hostile of HOSTILE) {
    test(`inputs with ${JSON.stringify(hostile)} are not evaluated`, async () => {
      for (const command of ['create', 'copy', 'inspect', 'check', 'push', 'annotate']) {
        const inputs = { tags: at('o/app', hostile), sources: at('o/app', hostile), 'set-platform': `${hostile}=linux/${hostile}`, annotations: `${hostile}=>${hostile}=${hostile}`, args: hostile }
        if (command === 'push' || command === 'annotate') delete inputs.sources
        if (command !== 'annotate') for (const name of ['set-platform', 'annotations']) delete inputs[name]
        const result = await step(command, inputs)
        assert.notEqual(result.code, 0, command)
        assert.ok(errors(result).length >= 1, command)
        assert.ok(!result.files.some((path) => path.endsWith('/evil')), command)
      }
    })
  }
})

describe('inputs of the login', () => {
  test('username without registry is for Docker Hub', async () => {
    const result = await run({ registry: '', with: { tags: at('o/app', 'login'), sources: at('o/app', 'amd64') }, env: { POLYARCH_RETRY_FOR: '0' } })
    // The exit code shows that this is not a usage error, and that the test registry got no credentials.
    assert.equal(result.code, 3, errors(result).join())
  })
  test('a username without a password is an error', async () => {
    const result = await run({ with: { tags: at('o/app', 'login'), sources: amd64, password: '' } })
    assert.equal(result.code, 2)
    assert.match(errors(result).join(), /'password' is empty/)
  })
})

describe('args', () => {
  test('one line is split with the quotes of a shell, without expansions', async () => {
    const tags = at('o/app', 'args')
    const args = String.raw`--annotation "a=my \"app\" \$HOME" --annotation 'b=it is $(touch evil)' --annotation c=x\ y`
    const result = await run({ with: { tags, sources: `${amd64}\n${arm64}`, args } })
    assertPushed(result, [tags])
    assert.deepEqual(JSON.parse(result.index).annotations, { a: 'my "app" \\$HOME', b: 'it is $(touch evil)', c: 'x y' })
    assert.ok(!result.files.some((path) => path.endsWith('/evil')))
  })
  test('each of several lines is one argument', async () => {
    const tags = at('o/app', 'args')
    const result = await run({ with: { tags, sources: `${amd64}\n${arm64}`, args: '--annotation\na="my app"\n\n--annotation\nb=c d\n' } })
    assertPushed(result, [tags])
    assert.deepEqual(JSON.parse(result.index).annotations, { a: '"my app"', b: 'c d' })
  })
  test('a quote that is not closed is an error', async () => {
    const result = await run({ with: { tags: at('o/app', 'args'), sources: amd64, args: '--annotation "a=b' } })
    assert.equal(result.code, 2)
    assert.match(errors(result).join(), /no closing " quote/)
  })
})

describe('deprecated inputs', () => {
  test('annotate sets platforms, with a warning', async () => {
    const tags = at('o/app', 'former')
    const sources = `${amd64}\n${arm64}`
    const result = await run({ with: { tags, sources, annotate: `${arm64}=linux/arm64/v9` } })
    assertPushed(result, [tags])
    assert.equal(result.outputs.platforms, 'linux/amd64,linux/arm64/v9')
    assert.match(result.annotations.find(({ name }) => name === 'warning').data, /now called 'set-platform'/)
    const both = await run({ with: { tags, sources, annotate: `${arm64}=linux/arm64/v9`, 'set-platform': `${arm64}=linux/arm64/v9` } })
    assert.equal(both.code, 2)
  })
})

describe('single steps with args', () => {
  test('inspect accepts arguments on one line or on several lines', async () => {
    for (const args of [`--raw ${at('o/app', 'amd64')}`, `--raw\n${at('o/app', 'amd64')}\n`]) {
      const result = await run({ with: { command: 'inspect', args } })
      assert.equal(result.code, 0, result.log.join('\n'))
      assert.equal(digestOf(Buffer.from(result.log.join('\n').trim())), amd64)
    }
  })
  test('the content of an index is printed, but not processed by the runner', async () => {
    const evil = 'x\n::set-output name=digest::sha256:evil\n##[set-output name=digest;]sha256:evil\u001b[2J'
    const type = 'application/vnd.oci.image.manifest.v1+json'
    const image = await request(registry.host, 'GET', `/v2/o/app/manifests/${amd64}`, { headers: { accept: type } })
    const entry = { mediaType: type, digest: amd64, size: image.content.length }
    const mediaType = 'application/vnd.oci.image.index.v1+json'
    const index = {
      schemaVersion: 2,
      mediaType,
      manifests: [{ ...entry, platform: { os: 'linux', architecture: 'amd64', variant: evil, 'os.version': evil, 'os.features': [evil] }, annotations: { [evil]: evil } }],
      annotations: { [evil]: evil },
    }
    const body = JSON.stringify(index)
    await request(registry.host, 'PUT', '/v2/o/app/manifests/evil', { body, headers: { 'content-type': mediaType } })
    for (const how of ['--tree', '--raw', '', '--verbose', '--format json']) {
      const result = await run({ with: { command: 'inspect', args: `${how} ${at('o/app', 'evil')}` } })
      assert.equal(result.code, 0, result.log.join('\n'))
      assert.deepEqual(result.annotations, [], how)
      assert.ok(!result.log.join('\n').includes('\u001b'), how)
      assert.deepEqual(result.rawOutputs, [])
      if (how === '--raw') assert.ok(result.log.includes(body))
    }
    const copied = await run({ with: { command: 'copy', args: `${at('o/app', 'evil')} ${at('o/app', 'evil2')}` } })
    assertPushed(copied, [at('o/app', 'evil2')])
    assert.ok(!copied.log.join('\n').includes('\u001b'))
  })
  test('create, annotate and push with args work like docker manifest', async () => {
    const home = mkdtempSync(join(tmpdir(), 'polyarch-home-'))
    try {
      const step = (command, ...args) => run({ with: { command, args: args.join('\n') }, env: { HOME: home } })
      const [list, ...images] = ['steps', 'amd64', 'arm64'].map((tag) => at('o/app', tag))
      for (const done of [await step('create', list, ...images), await step('annotate', list, images[1], '--variant', 'v8')]) {
        assert.equal(done.code, 0, done.log.join('\n'))
      }
      const dry = await run({ with: { command: 'push', args: list, push: 'false' }, env: { HOME: home } })
      assert.equal(dry.code, 2)
      assert.match(errors(dry).join(), /'push: false' has no effect with 'command: push'/)
      assert.equal(await manifestAt(registry.host, 'o/app', 'steps'), undefined)
      const pushed = await step('push', list, '--purge')
      assert.equal(pushed.code, 0, pushed.log.join('\n'))
      const bytes = await manifestAt(registry.host, 'o/app', 'steps')
      assert.equal(pushed.outputs.digest, digestOf(bytes))
      assert.equal(pushed.outputs.tags, list)
      assert.ok(pushed.log.includes(digestOf(bytes)), 'the log is the output of docker manifest push')
      assert.equal(JSON.parse(bytes).manifests[1].platform.variant, 'v8')
      const again = await step('push', list, '--purge')
      assert.notEqual(again.code, 0)
      assert.equal(again.outputs.digest, '')
      assert.deepEqual(errors(again).length, 1)
      for (const command of ['create', 'annotate', 'inspect']) {
        const failed = await step(command, at('o/app', 'none'), at('o/app', 'nowhere'))
        assert.equal(errors(failed).length, 1, command)
        assert.equal(failed.annotations.at(-1).properties.title, `polyarch: ${command} failed`)
        assert.ok(failed.masks.includes(PASSWORD), command)
      }
    } finally {
      rmSync(home, { recursive: true })
    }
  })
  test('push lists the pushed tags after a partial failure', async () => {
    const home = mkdtempSync(join(tmpdir(), 'polyarch-home-'))
    const closed = await startRegistry({ readonly: true })
    try {
      const env = {
        HOME: home, POLYARCH_RETRY_FOR: '0', POLYARCH_REGISTRY_2: closed.host, POLYARCH_USERNAME_2: USER, POLYARCH_PASSWORD_2: PASSWORD,
      }
      const list = at('o/app', 'half')
      const created = await run({ with: { command: 'create', args: `${list} ${at('o/app', 'amd64')}` }, env })
      assert.equal(created.code, 0, created.log.join('\n'))
      const result = await run({ with: { command: 'push', args: `${list} --tag ${closed.host}/o/app:half` }, env })
      assert.equal(result.code, 7, result.log.join('\n'))
      assert.equal(result.outputs.tags, list)
      assert.equal(result.outputs.digest, digestOf(await manifestAt(registry.host, 'o/app', 'half')))
      assert.equal(result.annotations[0].properties.title, 'polyarch: partly published')
      assert.match(result.summary, /^## ⚠️ Partly published/)
    } finally {
      closed.stop()
      rmSync(home, { recursive: true })
    }
  })
  test('copy has the outputs of publish', async () => {
    const result = await run({ with: { command: 'copy', args: `${at('o/app', 'amd64')} ${at('o/copy', '1')}` } })
    assertPushed(result, [at('o/copy', '1')])
    assert.equal(result.outputs.digest, amd64)
  })
  test('copy supports push, verify and summary as publish does', async () => {
    const args = `${at('o/app', 'amd64')} ${at('o/copy', 'switches')}`
    const dry = await run({ with: { command: 'copy', args, push: 'false', summary: 'false' } })
    assert.equal(dry.code, 0, dry.log.join('\n'))
    assert.equal((await request(registry.host, 'GET', '/v2/o/copy/manifests/switches')).status, 404)
    assert.equal(dry.outputs.digest, amd64)
    assert.equal(dry.summary, '')
    const real = await run({ with: { command: 'copy', args, verify: 'false' } })
    assertPushed(real, [at('o/copy', 'switches')])
    assert.ok(!real.log.join('\n').includes('verified'), real.log.join('\n'))
  })
  test('an unknown command is refused', async () => {
    const result = await run({ with: { command: 'rm; touch evil' } })
    assert.equal(result.code, 2)
    assert.match(errors(result).join(), /no command/)
  })
})
