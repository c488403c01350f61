import { readdirSync, readFileSync } from 'node:fs'
import { defineConfig, type Plugin } from 'vite'

// licenses writes the licenses of what is bundled beside it, as they ask for.
function licenses(): Plugin {
  return {
    name: 'licenses',
    generateBundle(_, bundle) {
      const names = new Set<string>()
      for (const file of Object.values(bundle)) {
        for (const module of file.type === 'chunk' ? file.moduleIds : []) {
          const name = /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(module)?.[1]
          if (name) names.add(name)
        }
      }
      const source = [...names].sort().map(licenseOf).join('\n\n')
      this.emitFile({ type: 'asset', fileName: 'assets/licenses.txt', source })
    },
  }
}

function licenseOf(name: string): string {
  const folder = `node_modules/${name}`
  const { version, license } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'))
  const file = readdirSync(folder).find(entry => /^licen[cs]e/i.test(entry))
  const text = file ? readFileSync(`${folder}/${file}`, 'utf8') : ''
  return `${name} ${version} (${license})\n\n${text}`
}

export default defineConfig({
  base: './',
  plugins: [licenses()],
  build: {
    outDir: '../internal/pages/dist',
    emptyOutDir: true,
    manifest: true,
    target: 'es2022',
    modulePreload: false, // pages name what they need in their heads
    assetsInlineLimit: 0,
    rolldownOptions: { input: ['src/watch/main.tsx', 'src/watch/hls.ts', 'src/list/main.tsx'] },
    chunkSizeWarningLimit: 700,
  },
})
