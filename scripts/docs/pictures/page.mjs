// Renders Markdown as a page in the style of GitHub. usage: page.mjs NODE_MODULES FILE.md
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const [modules, file] = process.argv.slice(2)
const { marked } = await import(pathToFileURL(join(modules, 'marked/lib/marked.esm.js')))

const STYLE = `
  body { margin: 0; padding: 20px 24px; width: 952px; box-sizing: border-box; background: #fff; color: #1f2328;
    font: 14px/1.5 'Noto Sans', 'Liberation Sans', Arial, 'Noto Color Emoji', sans-serif; }
  h2 { margin: 0 0 16px; padding-bottom: 6px; border-bottom: 1px solid #d1d9e0; font-size: 21px; line-height: 1.25; }
  p, ul, table, blockquote, details, pre { margin: 0 0 14px; }
  body > :last-child { margin-bottom: 0; }
  ul { padding-left: 28px; }
  code { padding: 2px 5px; border-radius: 6px; background: #818b981f; font: 12px 'DejaVu Sans Mono', monospace; }
  h2 code { font-size: 18px; }
  pre { padding: 14px; border-radius: 6px; background: #f6f8fa; line-height: 1.45; }
  pre code { padding: 0; background: none; }
  table { display: block; width: max-content; max-width: 100%; overflow: auto; border-collapse: collapse; }
  th, td { padding: 5px 12px; border: 1px solid #d1d9e0; }
  tr:nth-child(2n) td { background: #f6f8fa; }
  blockquote { padding: 0 14px; border-left: 4px solid #d1d9e0; color: #59636e; }
  summary { cursor: pointer; }
`
const body = marked.parse(readFileSync(file, 'utf8'), { gfm: true })
process.stdout.write(`<!doctype html><meta charset="utf-8"><title></title><style>${STYLE}</style><body>${body}
<script>document.title = Math.ceil(document.body.getBoundingClientRect().height)</script></body>\n`)
