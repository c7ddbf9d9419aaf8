// Runs a composite action by the rules of GitHub's runner: https://github.com/actions/runner, src/Runner.Worker.
import { spawn } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { data, Evaluator, Lexer, Parser } from '@actions/expressions'
import { convertActionTemplate, parseAction } from '@actions/workflow-parser/actions/index'
import { NoOperationTraceWriter } from '@actions/workflow-parser/templates/trace-writer'
import { filesBelow, traced } from './secrets.mjs'

/** The workflow commands that a runner executes (ActionCommandManager.cs and its extensions). */
const COMMANDS = ['stop-commands', 'set-output', 'set-env', 'add-path', 'add-mask', 'add-matcher', 'remove-matcher',
  'save-state', 'error', 'warning', 'notice', 'debug', 'group', 'endgroup', 'echo']

/** The contexts that `action_yaml.json` of the runner allows in a step. */
const CONTEXTS = ['github', 'inputs', 'strategy', 'matrix', 'steps', 'job', 'runner', 'env']

export function readAction (path) {
  const file = { name: path, content: readFileSync(path, 'utf8') }
  const { context, value } = parseAction(file, new NoOperationTraceWriter())
  const errors = context.errors.getErrors()
  if (errors.length > 0) throw new Error(errors.map(String).join('\n'))
  const { inputs, outputs } = convertActionTemplate(context, value)
  // The steps are taken from the parsed file, because the conversion drops the shell.
  return { inputs, outputs, steps: [...value.find('runs').find('steps')] }
}

function evaluate (token, contexts) {
  if (token.isExpression !== true) return token.toString()
  const { tokens } = new Lexer(token.expression).lex()
  const expression = new Parser(tokens, CONTEXTS, []).parse()
  const values = JSON.parse(JSON.stringify(contexts), data.reviver)
  return new Evaluator(expression, values).evaluate().coerceString()
}

/** Returns the inputs of the step: the given values, and the defaults of all others. A runner does not check `required`. */
function inputsOf (action, given) {
  const known = action.inputs.map((input) => input.id)
  for (const name of Object.keys(given)) {
    if (!known.includes(name)) throw new Error(`unexpected input ${name}: a runner would only warn`)
  }
  const value = (input) => given[input.id] ?? (input.default === undefined ? '' : evaluate(input.default, {}))
  return Object.fromEntries(action.inputs.map((input) => [input.id, String(value(input))]))
}

/**
 * Runs the action once.
 * @param options `with` and `env` of the step that uses the action; `machine` is `[RUNNER_OS, RUNNER_ARCH]`; `inspect` is
 * called at the end with the path of a trace of all processes, and with all files that the action wrote.
 */
export async function run (root, binary, { with: given = {}, env = {}, machine = ['Linux', 'X64'], inspect }) {
  const directory = mkdtempSync(join(tmpdir(), 'polyarch-action-'))
  try {
    const result = await runIn(directory, root, binary, given, env, machine)
    inspect(join(directory, 'trace'), filesBelow(directory))
    return result
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

async function runIn (directory, root, binary, given, env, [os, arch]) {
  const at = (name) => join(directory, name)
  for (const name of ['action/dist', 'action/scripts/action', 'workspace', 'temp', 'home']) mkdirSync(at(name), { recursive: true })
  const action = readAction(join(root, 'action.yml'))
  copyFileSync(join(root, 'scripts/action/run'), at('action/scripts/action/run'))
  for (const name of ['amd64', 'arm64']) symlinkSync(binary, at(`action/dist/polyarch-linux-${name}`))

  const github = { token: 'ghs_tokenOfTheJob', actor: 'octocat', action_path: at('action'), workspace: at('workspace') }
  const contexts = {
    github, env, inputs: inputsOf(action, given), steps: {}, job: {}, strategy: {}, matrix: {},
    runner: { os, arch, temp: at('temp') },
  }
  const result = { code: 0, log: [], annotations: [], masks: [], summary: '', summaryBytes: 0, index: undefined }
  for (const step of action.steps) {
    const stepEnv = {}
    for (const { key, value } of step.find('env') ?? []) stepEnv[key.toString()] = evaluate(value, contexts)
    for (const name of ['output', 'summary']) writeFileSync(at(name), '')
    const environment = {
      // Variables of the machine.
      PATH: process.env.PATH, HOME: at('home'), LANG: 'C.UTF-8',
      // Variables of the workflow, the job and the step.
      ...env,
      // Variables of the runner. `INPUT_*` exists only for JavaScript and container actions.
      CI: 'true', GITHUB_ACTIONS: 'true', GITHUB_ACTOR: github.actor, GITHUB_ACTION_PATH: at('action'),
      GITHUB_WORKSPACE: at('workspace'), GITHUB_OUTPUT: at('output'), GITHUB_STEP_SUMMARY: at('summary'),
      GITHUB_REPOSITORY: 'o/app', GITHUB_SERVER_URL: 'https://github.com', GITHUB_RUN_ID: '1',
      RUNNER_OS: os, RUNNER_ARCH: arch, RUNNER_TEMP: at('temp'),
      ...stepEnv,
    }
    writeFileSync(at('temp/step.sh'), evaluate(step.find('run'), contexts))
    if (evaluate(step.find('shell'), contexts) !== 'bash') throw new Error('the shell of every step is bash')
    const [program, args] = traced(at('trace'), 'bash', ['--noprofile', '--norc', '-e', '-o', 'pipefail', at('temp/step.sh')])
    const { code, lines } = await execute(program, args, environment, at('workspace'))
    processLines(lines, result)
    result.code = code
    const text = readFileSync(at('summary'), 'utf8')
    result.summary += text
    result.summaryBytes = Math.max(result.summaryBytes, Buffer.byteLength(text))
    result.rawOutputs = parseOutputs(readFileSync(at('output'), 'utf8'))
    contexts.steps[step.find('id').toString()] = { outputs: Object.fromEntries(result.rawOutputs) }
    if (code !== 0) break
  }
  // The outputs are set after a failure too: with continue-on-error, the next steps use them.
  result.outputs = Object.fromEntries(action.outputs.map((output) => [output.id, evaluate(output.value, contexts)]))
  const index = result.outputs['index-path']
  if (index && existsSync(index)) result.index = readFileSync(index)
  return result
}

function execute (program, args, env, cwd) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env, cwd, stdio: ['ignore', 'pipe', 'pipe'], timeout: 120_000 })
    const lines = []
    for (const stream of [child.stdout, child.stderr]) {
      let text = ''
      stream.setEncoding('utf8').on('data', (chunk) => { text += chunk })
      // Like ReadLine of .NET, which also ends a line at a carriage return.
      stream.on('end', () => lines.push(...text.split(/\r\n|\r|\n/)))
    }
    child.on('error', reject)
    child.on('close', (code, signal) => resolve({ code: code ?? `ended by ${signal}`, lines }))
  })
}

/**
 * Separates workflow commands from log lines, by the rules of ActionCommand.cs. After `stop-commands`, there are no
 * commands until the token (ActionCommandManager.cs).
 */
function processLines (lines, result) {
  let stopped
  for (const line of lines) {
    if (stopped !== undefined) {
      if (line.trimStart() === `::${stopped}::`) stopped = undefined
      else result.log.push(line)
      continue
    }
    const command = commandV2(line) ?? commandV1(line)
    if (command === undefined) result.log.push(line)
    else if (command.name === 'stop-commands') stopped = command.data
    else if (command.name === 'add-mask') result.masks.push(command.data)
    else result.annotations.push(command)
  }
  if (stopped !== undefined) throw new Error('the step stopped workflow commands and did not resume them')
}

function commandV2 (line) {
  const text = line.trimStart()
  const end = text.indexOf('::', 2)
  if (!text.startsWith('::') || end < 0) return undefined
  const [name, ...rest] = text.slice(2, end).split(' ')
  if (!COMMANDS.includes(name.toLowerCase())) return undefined
  const properties = {}
  for (const pair of rest.join(' ').split(',')) {
    const equals = pair.indexOf('=')
    if (equals > 0) properties[pair.slice(0, equals).trim()] = unescape(pair.slice(equals + 1))
  }
  return { name, properties, data: unescape(text.slice(end + 2)) }
}

function commandV1 (line) {
  const start = line.indexOf('##[')
  const end = line.indexOf(']', start)
  if (start < 0 || end < 0) return undefined
  const name = line.slice(start + 3, end).split(' ')[0]
  return COMMANDS.includes(name.toLowerCase()) ? { name, properties: {}, data: line.slice(end + 1) } : undefined
}

function unescape (text) {
  return text.replaceAll('%0D', '\r').replaceAll('%0A', '\n').replaceAll('%3A', ':').replaceAll('%2C', ',').replaceAll('%25', '%')
}

/** Parses an output file like EnvFileKeyValuePairs in FileCommandManager.cs on Linux. Returns the pairs in file order. */
export function parseOutputs (text) {
  const pairs = []
  let index = 0
  const readLine = () => {
    if (index >= text.length) return [null, null]
    const start = index
    const end = text.indexOf('\n', index)
    if (end < 0) {
      index = text.length
      return [text.slice(start), null]
    }
    index = end + 1
    return [text.slice(start, end), '\n']
  }
  for (let [line] = readLine(); line !== null; [line] = readLine()) {
    if (line === '') continue
    const equals = line.indexOf('=')
    const heredoc = line.indexOf('<<')
    if (equals >= 0 && (heredoc < 0 || equals < heredoc)) {
      pairs.push([line.slice(0, equals), line.slice(equals + 1)])
    } else if (heredoc >= 0) {
      const [key, delimiter] = [line.slice(0, heredoc), line.slice(heredoc + 2)]
      if (key === '' || delimiter === '') throw new Error(`Invalid format '${line}'`)
      const start = index
      let end = index
      let [next, newline] = readLine()
      while (next !== delimiter) {
        if (next === null) throw new Error(`Matching delimiter not found '${delimiter}'`)
        if (newline === null) throw new Error('EOF marker missing new line')
        end = index - newline.length;
        [next, newline] = readLine()
      }
      pairs.push([key, end > start ? text.slice(start, end) : ''])
    } else {
      throw new Error(`Invalid format '${line}'`)
    }
  }
  return pairs
}
