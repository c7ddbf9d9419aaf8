// Fails if a secret is in a trace of processes or in a file. SECRETS has one secret per line.
// usage: SECRETS=... no-secret.mjs TRACE FOLDER...
import { assertNoArgument, assertNowhere, filesBelow } from './secrets.mjs'

const [trace, ...folders] = process.argv.slice(2)
const secrets = process.env.SECRETS.split('\n')
const processes = assertNoArgument(secrets, trace)
const files = Object.assign({}, ...folders.map(filesBelow))
// add-mask commands must contain the secret; the runner removes these lines from the log.
for (const path in files) files[path] = files[path].replaceAll(/^::add-mask::.*\n/gm, '')
assertNowhere(secrets, files)
const stderr = Object.entries(files).find(([path]) => path.endsWith('/output/stderr'))
if (!stderr?.[1].includes('debug: PUT ')) throw new Error('the debug output of polyarch is missing')
console.log(`no secret in ${processes.length} processes and ${Object.keys(files).length} files`)
