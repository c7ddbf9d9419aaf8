// Searches for secrets in outputs, files, and the arguments of every process.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const CALLS = ['-f', '-qq', '--seccomp-bpf', '-s', '100000', '-e', 'trace=execve,execveat']

/** The command and arguments that run a program and have every process below it written to a file. */
export const traced = (trace, program, args) => ['strace', [...CALLS, '-o', trace, program, ...args]]

/** A secret, and what base64 leaves of it whatever stands before and behind it (`user:secret`, JSON). */
export function forms (secret) {
  const bytes = Buffer.from(secret)
  const shifted = [0, 1, 2].map((shift) => {
    const text = Buffer.concat([Buffer.alloc(shift), bytes]).toString('base64')
    return text.slice(Math.ceil(shift * 8 / 6), Math.floor((shift + bytes.length) * 8 / 6))
  })
  return [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret), ...shifted]
}

/** Fails if one of the secrets is in one of the texts, by their names. */
export function assertNowhere (secrets, places) {
  for (const [place, text] of Object.entries(places)) {
    for (const form of secrets.flatMap(forms)) assert.ok(!text.includes(form), `a secret is in ${place}`)
  }
}

/** Fails if a process of the trace has a secret among its arguments, or if there is no process. */
export function assertNoArgument (secrets, trace) {
  const lines = readFileSync(trace, 'utf8').split('\n').filter((line) => line.includes('execve'))
  assert.ok(lines.length > 0, 'nothing was traced')
  // As strace writes a string.
  const written = secrets.map((secret) => secret.replaceAll('\\', '\\\\').replaceAll('"', '\\"'))
  for (const line of lines) {
    for (const form of [...secrets, ...written].flatMap(forms)) assert.ok(!line.includes(form), `a secret is an argument: ${line.slice(0, 60)}`)
  }
  return lines
}

/** Every file below a directory, by its path. */
export function filesBelow (directory) {
  const found = {}
  for (const entry of readdirSync(directory, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath ?? entry.path, entry.name)
    if (entry.isFile()) found[path] = readFileSync(path, 'latin1')
  }
  return found
}
