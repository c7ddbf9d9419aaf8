// Searches for secrets in outputs, files, and the arguments of every process.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const CALLS = ['-f', '-qq', '--seccomp-bpf', '-s', '100000', '-e', 'trace=execve,execveat']

/** Returns the command line that runs a program and writes the arguments of all its processes to a file. */
export const traced = (trace, program, args) => ['strace', [...CALLS, '-o', trace, program, ...args]]

/**
 * Returns the forms in which a secret can appear: as text, in JSON, in a URL, and in base64. In base64, the surrounding
 * text (such as `user:`) shifts the secret by 0, 1 or 2 bytes. For each shift, returns the part that depends only on the
 * secret.
 */
export function forms (secret) {
  const bytes = Buffer.from(secret)
  const shifted = [0, 1, 2].map((shift) => {
    const text = Buffer.concat([Buffer.alloc(shift), bytes]).toString('base64')
    return text.slice(Math.ceil(shift * 8 / 6), Math.floor((shift + bytes.length) * 8 / 6))
  })
  return [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret), ...shifted]
}

/** Fails if a secret is in one of the texts. `places` maps the name of each text to the text. */
export function assertNowhere (secrets, places) {
  for (const [place, text] of Object.entries(places)) {
    for (const form of secrets.flatMap(forms)) assert.ok(!text.includes(form), `a secret is in ${place}`)
  }
}

/** Fails if an argument of a process in the trace contains a secret, or if the trace contains no process. */
export function assertNoArgument (secrets, trace) {
  const lines = readFileSync(trace, 'utf8').split('\n').filter((line) => line.includes('execve'))
  assert.ok(lines.length > 0, 'nothing was traced')
  // strace escapes backslashes and quotes.
  const written = secrets.map((secret) => secret.replaceAll('\\', '\\\\').replaceAll('"', '\\"'))
  for (const line of lines) {
    for (const form of [...secrets, ...written].flatMap(forms)) assert.ok(!line.includes(form), `a secret is an argument: ${line.slice(0, 60)}`)
  }
  return lines
}

/** Returns the content of every file in a directory and its subdirectories, by path. */
export function filesBelow (directory) {
  const found = {}
  for (const entry of readdirSync(directory, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath ?? entry.path, entry.name)
    if (entry.isFile()) found[path] = readFileSync(path, 'latin1')
  }
  return found
}
