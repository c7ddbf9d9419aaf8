// What users of the Action do, and what they must see.
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
const OUTPUTS = ['digest', 'media-type', 'size', 'platforms', 'tags', 'images', 'json', 'index-path', 'subject-name', 'subject-digest', 'subjects']
const HOSTILE = ['x\ny z', 'x\r\ndigest=sha256:evil', '::error::x', '##[error]x', '%0Adigest=x', '`x`', 'a|b', '<img src=x>', '$(touch evil)', "';touch evil;'"]

let registry, amd64, arm64

/** Runs the action with the password, and looks for what must never happen. */
async function run (options) {
  const { registry: host = registry.host, ...rest } = options
  const credentials = { registry: host, username: USER, password: PASSWORD }
  const secrets = [rest.with?.password ?? PASSWORD, 'ghs_tokenOfTheJob']
  let processes
  // The highest verbosity, whatever the case is about: with it, every request is told.
  const env = { POLYARCH_DEBUG: 'true', ...rest.env }
  const inspect = (trace, files) => {
    processes = assertNoArgument(secrets, trace)
    assertNowhere(secrets, files)
  }
  const result = await runAction(root, binary, { ...rest, env, with: { ...credentials, ...rest.with }, inspect })
  assert.ok(processes.some((line) => line.includes('scripts/action/run')), 'the processes were not seen')
  result.debug = result.log.filter((line) => line.startsWith('debug: '))
  assertNowhere(secrets, {
    'the log': result.log.join('\n'),
    'the annotations': JSON.stringify(result.annotations),
    'the summary': result.summary,
    'the outputs': JSON.stringify(result.rawOutputs),
  })
  result.log = result.log.filter((line) => !line.startsWith('debug: '))
  // GitHub drops an output that contains a masked word.
  for (const [name, value] of Object.entries(result.outputs)) {
    for (const mask of result.masks) assert.ok(!value.includes(mask), `output ${name} would be dropped`)
  }
  const told = result.rawOutputs.map(([name]) => name)
  assert.equal(new Set(told).size, told.length, 'each output is told once')
  assert.ok(told.every((name) => OUTPUTS.includes(name)), told.join())
  for (const { name, data } of result.annotations) {
    assert.ok(['error', 'warning', 'notice'].includes(name), `the command ${name} is none of ours`)
    assert.ok(data.length <= 4096)
  }
  assert.ok(result.summaryBytes <= 1024 * 1024)
  return result
}

const errors = (result) => result.annotations.filter(({ name }) => name === 'error').map(({ data }) => data)
const at = (repository, tag) => `${registry.host}/${repository}:${tag}`

function assertLanded (result, references) {
  assert.equal(result.code, 0, result.log.join('\n'))
  assert.deepEqual(result.outputs.tags.split('\n'), references)
}

before(async () => {
  registry = await startRegistry()
  amd64 = await putImage(registry.host, 'o/app', 'amd64', 'amd64')
  arm64 = await putImage(registry.host, 'o/app', 'arm64', 'arm64')
})
after(() => registry.stop())

describe('the runner of these tests', () => {
  test('reads outputs as GitHub does', () => {
    assert.deepEqual(parseOutputs('a=b<<c\nd<<E\ne=f\n\ng\nE\nh<<E\nE\n'), [['a', 'b<<c'], ['d', 'e=f\n\ng'], ['h', '']])
    for (const wrong of ['a', '<<E\nE\n', 'a<<E\nb\n', 'a<<E\nb']) assert.throws(() => parseOutputs(wrong))
  })
  test('finds a secret in every form, and among the arguments of a process', () => {
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
  test('finds every input and output of the documentation', () => {
    const action = readAction(join(root, 'action.yml'))
    assert.deepEqual(action.outputs.map(({ id }) => id), OUTPUTS)
    assert.deepEqual(action.inputs.map(({ id }) => id).sort(), ['annotate', 'annotations', 'append', 'args', 'attestations', 'command',
      'digests', 'image', 'insecure', 'labels-as-annotations', 'media-type', 'on-duplicate', 'password', 'platforms', 'push', 'registry',
      'sources', 'summary', 'tags', 'username', 'verify'])
  })
})

describe('publish', () => {
  test('puts two images under two tags in one step', async () => {
    const tags = [at('o/app', '1.2'), at('o/app', 'latest')]
    const result = await run({ with: { tags: tags.join('\n'), sources: `${at('o/app', 'amd64')}\n${at('o/app', 'arm64')}` } })
    assertLanded(result, tags)
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

  test('takes the digest files of the Docker documentation', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'polyarch-digests-'))
    try {
      for (const [job, digest] of [['linux-amd64', amd64], ['linux-arm64', arm64]]) {
        mkdirSync(join(directory, job))
        writeFileSync(join(directory, job, digest.slice('sha256:'.length)), '')
      }
      const result = await run({ with: { tags: at('o/app', 'digests'), digests: directory, platforms: 'linux/amd64,linux/arm64' } })
      assertLanded(result, [at('o/app', 'digests')])
      assert.equal(result.outputs.platforms.split(',').length, 2)
    } finally {
      rmSync(directory, { recursive: true })
    }
  })

  test('takes what docker/metadata-action left, and toJSON(needs.build.outputs)', async () => {
    const env = { DOCKER_METADATA_OUTPUT_TAGS: `${at('o/app', 'meta')}\n${at('o/app', 'meta2')}` }
    const sources = JSON.stringify({ amd: amd64, arm: arm64 })
    const result = await run({ with: { sources, 'labels-as-annotations': 'org.opencontainers.image.title=app' }, env })
    assertLanded(result, env.DOCKER_METADATA_OUTPUT_TAGS.split('\n'))
    assert.equal(JSON.parse(result.index).annotations['org.opencontainers.image.title'], 'app')
  })

  test('a dry run writes nothing and tells the digest of the real one', async () => {
    const step = { tags: at('o/app', 'dry'), sources: `${amd64},${arm64}`.replace(',', '\n') }
    const dry = await run({ with: { ...step, push: 'false' } })
    assert.equal(dry.code, 0, dry.log.join('\n'))
    assert.equal(await manifestAt(registry.host, 'o/app', 'dry'), undefined)
    for (const name of ['tags', 'images', 'subject-name', 'subject-digest']) assert.equal(dry.outputs[name], '')
    assert.equal(dry.outputs.subjects, '[]')
    assert.match(dry.summary, /^## 🔍 Dry run/)
    const real = await run({ with: step })
    assertLanded(real, [step.tags])
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

  test('a wrong password is told without telling it', async () => {
    const result = await run({ with: { tags: at('o/app', 'wrong'), sources: amd64, password: 'not-the-passW0rd' } })
    assert.equal(result.code, 3)
    assert.equal(errors(result).length, 1)
    assert.match(result.summary, /❌/)
  })

  test('after a partial failure the outputs tell what landed', async () => {
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

  test('no secret is told at the highest verbosity', async () => {
    for (const password of [PASSWORD, 'not-the-passW0rd']) {
      const result = await run({ with: { tags: at('o/app', 'debug'), sources: `${amd64}\n${arm64}`, password } })
      assert.ok(result.debug.length > 0, result.log.join('\n'))
    }
  })

  for (const hostile of HOSTILE) {
    test(`a tag with ${JSON.stringify(hostile)} is a wrong tag and nothing else`, async () => {
      const result = await run({ with: { tags: `${registry.host}/o/app:${hostile}`, sources: amd64 } })
      assert.notEqual(result.code, 0)
      assert.equal(result.outputs.digest, '')
      assert.equal(errors(result).length, 1, JSON.stringify(result.annotations))
      assert.ok(!/<img|\n::|`x`/.test(result.summary), result.summary)
    })
    test(`an annotation with ${JSON.stringify(hostile)} is published as it is and changes nothing else`, async () => {
      const [line] = hostile.split(/\r?\n/)
      const annotations = `a=1\nb=${line}`
      const result = await run({ with: { tags: at('o/app', 'hostile'), sources: `${amd64}\n${arm64}`, annotations } })
      assertLanded(result, [at('o/app', 'hostile')])
      assert.deepEqual(JSON.parse(result.index).annotations, { a: '1', b: line })
      assert.equal(result.outputs.digest, digestOf(result.index))
      assert.deepEqual(errors(result), [])
    })
  }

  test('nine hundred tags are nine hundred lines', async () => {
    const tags = Array.from({ length: 900 }, (_, n) => at('o/many', `1.2.${n}`))
    const sources = `${at('o/app', 'amd64')}\n${at('o/app', 'arm64')}`
    const result = await run({ with: { tags: tags.join('\n'), sources, verify: 'false' } })
    assertLanded(result, tags)
    assert.match(result.summary, /<summary>900 tags<\/summary>/)
  })

  test('a summary that is too long is cut and says so', async () => {
    const many = (key) => Array.from({ length: 1000 }, (_, n) => `${key}${n}=${'<'.repeat(100)}`).join('\n')
    const sources = `${amd64}\n${arm64}`
    const result = await run({ with: { tags: at('o/app', 'long'), sources, annotations: many('a'), 'labels-as-annotations': many('l') } })
    assertLanded(result, [at('o/app', 'long')])
    assert.ok(result.summaryBytes <= 900 * 1024 && result.summaryBytes > 890 * 1024, `${result.summaryBytes} bytes`)
    assert.match(result.summary, /This summary was cut here/)
  })
})

describe('inputs', () => {
  test('a missing one is named', async () => {
    assert.match(errors(await run({ with: { tags: at('o/app', '1') } })).join(), /'sources'.*'digests'/)
    assert.match(errors(await run({ with: { sources: amd64 } })).join(), /'tags'/)
  })
  test('one that is neither true nor false is named', async () => {
    for (const name of ['push', 'verify', 'summary', 'append', 'insecure']) {
      const result = await run({ with: { tags: at('o/app', '1'), sources: amd64, [name]: 'ye,s\n::error::x' } })
      assert.equal(result.code, 2)
      assert.match(errors(result).join(), new RegExp(`'${name}'`))
    }
  })
  test('one that is none of its words is an error of the step, and no command to the runner', async () => {
    for (const name of ['media-type', 'attestations', 'on-duplicate']) {
      const result = await run({ with: { tags: at('o/app', '1'), sources: amd64, [name]: 'x\n::error::pwn' } })
      assert.equal(result.code, 2)
      assert.equal(errors(result).length, 1, JSON.stringify(result.annotations))
      assert.equal(result.annotations[0].properties.title, 'polyarch: wrong usage')
      assert.match(errors(result).join(), new RegExp(`--${name}`))
    }
  })
  test('a runner without a binary is told so', async () => {
    for (const machine of [['Windows', 'X64'], ['macOS', 'ARM64'], ['Linux', 'ARM']]) {
      const result = await run({ with: { tags: at('o/app', '1'), sources: amd64 }, machine })
      assert.equal(result.code, 2)
      assert.match(errors(result).join(), new RegExp(machine.join('/')))
    }
  })
  test('the summary can be left out', async () => {
    const result = await run({ with: { tags: at('o/app', 'quiet'), sources: `${amd64}\n${arm64}`, summary: 'false' } })
    assertLanded(result, [at('o/app', 'quiet')])
    assert.equal(result.summary, '')
  })
})

describe('single steps', () => {
  test('inspect takes its arguments from one line or several', async () => {
    for (const args of [`--raw ${at('o/app', 'amd64')}`, `--raw\n${at('o/app', 'amd64')}\n`]) {
      const result = await run({ with: { command: 'inspect', args } })
      assert.equal(result.code, 0, result.log.join('\n'))
      assert.equal(digestOf(Buffer.from(result.log.join('\n').trim())), amd64)
    }
  })
  test('what an index says is shown, and is no command to the runner', async () => {
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
    assertLanded(copied, [at('o/app', 'evil2')])
    assert.ok(!copied.log.join('\n').includes('\u001b'))
  })
  test('create, annotate and push work as those of docker manifest, and push tells the digest', async () => {
    const home = mkdtempSync(join(tmpdir(), 'polyarch-home-'))
    try {
      const step = (command, ...args) => run({ with: { command, args: args.join('\n') }, env: { HOME: home } })
      const [list, ...images] = ['steps', 'amd64', 'arm64'].map((tag) => at('o/app', tag))
      for (const done of [await step('create', list, ...images), await step('annotate', list, images[1], '--variant', 'v8')]) {
        assert.equal(done.code, 0, done.log.join('\n'))
      }
      const dry = await run({ with: { command: 'push', args: list, push: 'false' }, env: { HOME: home } })
      assert.equal(dry.code, 2)
      assert.match(errors(dry).join(), /'push: false'/)
      assert.equal(await manifestAt(registry.host, 'o/app', 'steps'), undefined)
      const pushed = await step('push', list, '--purge')
      assert.equal(pushed.code, 0, pushed.log.join('\n'))
      const bytes = await manifestAt(registry.host, 'o/app', 'steps')
      assert.equal(pushed.outputs.digest, digestOf(bytes))
      assert.equal(pushed.outputs.tags, list)
      assert.ok(pushed.log.includes(digestOf(bytes)), 'the log is that of docker manifest push')
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
  test('push tells what landed after a partial failure', async () => {
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
      assert.equal(result.summary, '')
    } finally {
      closed.stop()
      rmSync(home, { recursive: true })
    }
  })
  test('copy tells what landed', async () => {
    const result = await run({ with: { command: 'copy', args: `${at('o/app', 'amd64')} ${at('o/copy', '1')}` } })
    assertLanded(result, [at('o/copy', '1')])
    assert.equal(result.outputs.digest, amd64)
  })
  test('copy knows a dry run, verification and the summary as publish does', async () => {
    const args = `${at('o/app', 'amd64')} ${at('o/copy', 'switches')}`
    const dry = await run({ with: { command: 'copy', args, push: 'false', summary: 'false' } })
    assert.equal(dry.code, 0, dry.log.join('\n'))
    assert.equal((await request(registry.host, 'GET', '/v2/o/copy/manifests/switches')).status, 404)
    assert.equal(dry.outputs.digest, amd64)
    assert.equal(dry.summary, '')
    const real = await run({ with: { command: 'copy', args, verify: 'false' } })
    assertLanded(real, [at('o/copy', 'switches')])
    assert.ok(!real.log.join('\n').includes('verified'), real.log.join('\n'))
  })
  test('an unknown command is refused', async () => {
    const result = await run({ with: { command: 'rm; touch evil' } })
    assert.equal(result.code, 2)
    assert.match(errors(result).join(), /no command/)
  })
})
