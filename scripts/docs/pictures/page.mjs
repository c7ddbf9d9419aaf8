// Renders Markdown as a page in the style of GitHub. usage: page.mjs NODE_MODULES FILE.md light|dark
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const [modules, file, theme] = process.argv.slice(2)
const { marked } = await import(pathToFileURL(join(modules, 'marked/lib/marked.esm.js')))

const COLOURS = {
  light: { page: '#ffffff', text: '#1f2328', muted: '#59636e', border: '#d1d9e0', row: '#f6f8fa', code: '#818b981f' },
  dark: { page: '#0d1117', text: '#f0f6fc', muted: '#9198a1', border: '#3d444d', row: '#151b23', code: '#656c7633' },
}
const { page, text, muted, border, row, code } = COLOURS[theme]
const STYLE = `
  body { margin: 0; padding: 20px 24px; width: 952px; box-sizing: border-box; background: ${page}; color: ${text};
    font: 14px/1.5 'Noto Sans', 'Liberation Sans', Arial, 'Noto Color Emoji', sans-serif; }
  h2 { margin: 0 0 16px; padding-bottom: 6px; border-bottom: 1px solid ${border}; font-size: 21px; line-height: 1.25; }
  p, ul, table, blockquote, details, pre { margin: 0 0 14px; }
  body > :last-child { margin-bottom: 0; }
  ul { padding-left: 28px; }
  code { padding: 2px 5px; border-radius: 6px; background: ${code}; font: 12px 'DejaVu Sans Mono', monospace; }
  h2 code { font-size: 18px; }
  pre { padding: 14px; border-radius: 6px; overflow: hidden; background: ${row}; line-height: 1.45; }
  pre code { padding: 0; background: none; }
  table { display: block; width: max-content; max-width: 100%; overflow: auto; border-collapse: collapse; }
  th, td { padding: 5px 12px; border: 1px solid ${border}; }
  tr:nth-child(2n) td { background: ${row}; }
  blockquote { padding: 0 14px; border-left: 4px solid ${border}; color: ${muted}; }
  summary { cursor: pointer; }
`
const body = marked.parse(readFileSync(file, 'utf8'), { gfm: true })
process.stdout.write(`<!doctype html><meta charset="utf-8"><title></title><style>${STYLE}</style><body>${body}
<script>document.title = Math.ceil(document.body.getBoundingClientRect().height)</script></body>\n`)
