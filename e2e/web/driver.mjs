// Drives one headless Chromium for the Go tests, which speak to it by lines of JSON: {"id":1,"method":"open","url":"…"} on standard input is
// answered by {"id":1,"result":…} or {"id":1,"error":"…"} on standard output. It ends, and the browser with it, with its input.
//
//   open {url}                → number of a new page, in a context of its own; with options of that, and
//                               a script that runs before those of the page, if they are given; requests
//                               that match the pattern block fail
//   evaluate {page, script}   → value of the expression, with frame in the first frame of the page
//   throttle {page, kilobits} → limits what the page downloads, in kbit/s; 0: no limit
//   complaints {page}         → what a page that is right does not do: errors on the console, requests to
//                               other servers
//   click {page, selector}, press {page, key}, fill {page, selector, text}, reload {page}
//   audit {page}              → the serious faults that axe finds
//   worked                    → for how many seconds the processes of the browser have used a processor
//   screenshot {page, path}
//   close {page}

import { createInterface } from 'node:readline'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
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
  async open({ url, options, script, block }) {
    const context = await browser.newContext({ viewport: { width: 640, height: 400 }, ...options })
    if (script) await context.addInitScript(script)
    if (block) await context.route(new RegExp(block), route => route.abort())
    const page = await context.newPage()
    const said = []
    const complaints = []
    page.on('console', message => {
      said.push(message.text())
      if (message.type() === 'error') complaints.push(`${message.text()} ${message.location().url}`)
    })
    page.on('pageerror', error => {
      said.push(String(error))
      complaints.push(String(error))
    })
    context.on('request', request => {
      const { hostname, protocol } = new URL(request.url())
      if (protocol.startsWith('http') && hostname !== new URL(url).hostname) complaints.push(`it asks for ${request.url()}`)
    })
    page.setDefaultTimeout(patience)
    await page.goto(url)
    pages.set(++lastPage, { page, context, said, complaints })
    return lastPage
  },
  complaints({ page }) {
    return find(page).complaints
  },
  click({ page, selector }) {
    return find(page).page.click(selector)
  },
  fill({ page, selector, text }) {
    return find(page).page.fill(selector, text)
  },
  async reload({ page }) {
    await find(page).page.reload()
  },
  press({ page, key }) {
    return find(page).page.keyboard.press(key)
  },
  async audit({ page }) {
    const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
    await find(page).page.evaluate(axe)
    const { violations } = await find(page).page.evaluate('axe.run()')
    return violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(node => node.html).join(' ')}`)
  },
  async worked() {
    const session = await browser.newBrowserCDPSession()
    const { processInfo } = await session.send('SystemInfo.getProcessInfo')
    await session.detach()
    return processInfo.reduce((sum, { cpuTime }) => sum + cpuTime, 0)
  },
  async screenshot({ page, path }) {
    await find(page).page.screenshot({ path })
  },
  evaluate({ page, script, frame }) {
    const whole = find(page).page
    return (frame ? whole.frames()[1] : whole).evaluate(script)
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
