// Inserts inputs into a GitLab component as text, before the YAML is parsed, as GitLab does:
// https://docs.gitlab.com/ci/inputs/, and lib/gitlab/ci/config/yaml/ and lib/gitlab/ci/config/interpolation/ of GitLab.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

const require = createRequire(join(process.env.POLYARCH_TOOLS, 'node_modules/'))
export const yaml = require('js-yaml')

/** Returns the declared inputs and the text of the second document. */
export function readComponent (path) {
  const [header, ...documents] = readFileSync(path, 'utf8').split(/^---\n/m)
  if (documents.length !== 1) throw new Error('a component has two documents')
  return { inputs: yaml.load(header).spec.inputs, body: documents[0] }
}

/** Returns the second document with the values of the inputs. Throws the errors of GitLab for invalid values. */
export function interpolate ({ inputs, body }, given) {
  for (const name of Object.keys(given)) {
    if (!(name in inputs)) throw new Error(`unknown input ${name}`)
  }
  const value = (name) => {
    const { default: fallback, type = 'string', regex, options } = inputs[name]
    const chosen = given[name] ?? fallback
    if (typeof chosen !== type) throw new Error(`${name}: provided value is not a ${type}`)
    if (regex !== undefined && !new RegExp(regex).test(chosen)) throw new Error(`${name}: provided value does not match required RegEx pattern`)
    if (options !== undefined && !options.includes(chosen)) throw new Error(`${name}: ${chosen} cannot be used because it is not in the list of allowed options`)
    return String(chosen)
  }
  return body.replaceAll(/\$\[\[\s*inputs\.([a-z-]+)\s*\]\]/g, (_, name) => value(name))
}
