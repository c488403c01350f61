// Drives one headless Chromium for the Go tests, which speak to it by lines of JSON: {"id":1,"method":"open","url":"…"} on standard input is
// answered by {"id":1,"result":…} or {"id":1,"error":"…"} on standard output. It ends, and the browser with it, with its input.
//
//   open {url}                → number of a new page, in a context of its own
//   evaluate {page, script}   → value of the expression
//   throttle {page, kilobits} → limits what the page downloads, in kbit/s; 0: no limit
//   close {page}

import { createInterface } from 'node:readline'
import { chromium } from 'playwright-core'

// Longer than any expression or page of the tests takes on a busy machine.
const patience = 30_000

const browser = await chromium.launch({
  executablePath: process.argv[2],
  // Tests run as root in containers, whose /dev/shm is small.
  args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu', '--autoplay-policy=no-user-gesture-required'],
})
const pages = new Map()
let lastPage = 0

const methods = {
  async open({ url }) {
    const context = await browser.newContext({ viewport: { width: 640, height: 400 } })
    const page = await context.newPage()
    const said = []
    page.on('console', message => said.push(message.text()))
    page.on('pageerror', error => said.push(String(error)))
    page.setDefaultTimeout(patience)
    await page.goto(url)
    pages.set(++lastPage, { page, context, said })
    return lastPage
  },
  evaluate({ page, script }) {
    return find(page).page.evaluate(script)
  },
  async throttle({ page, kilobits }) {
    const entry = find(page)
    entry.devtools ??= await entry.context.newCDPSession(entry.page)
    await entry.devtools.send('Network.enable')
    const downloadThroughput = kilobits > 0 ? (kilobits * 1000) / 8 : -1
    await entry.devtools.send('Network.emulateNetworkConditions', { offline: false, latency: 0, downloadThroughput, uploadThroughput: -1 })
  },
  async close({ page }) {
    const entry = find(page)
    pages.delete(page)
    await entry.context.close()
    return entry.said.slice(0, 50)
  },
}

function find(page) {
  const entry = pages.get(page)
  if (!entry) throw new Error(`no page ${page}`)
  return entry
}

async function answer(line) {
  const { id, method, ...parameters } = JSON.parse(line)
  const reply = { id }
  try {
    reply.result = (await methods[method](parameters)) ?? null
  } catch (error) {
    reply.error = String(error)
  }
  process.stdout.write(JSON.stringify(reply) + '\n')
}

const lines = createInterface({ input: process.stdin })
lines.on('line', line => void answer(line))
lines.on('close', async () => {
  await browser.close()
  process.exit(0)
})
