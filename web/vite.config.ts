import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
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

// compressed writes each file as gzip too, so that the server need not do it before its first answer.
function compressed(): Plugin {
  return {
    name: 'compressed',
    writeBundle({ dir }, bundle) {
      for (const name of Object.keys(bundle)) {
        if (!/\.(js|css|txt)$/.test(name)) continue
        const packed = gzipSync(readFileSync(`${dir}/${name}`), { level: 9 })
        writeFileSync(`${dir}/${name}.gz`, packed)
      }
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
  plugins: [licenses(), compressed()],
  build: {
    outDir: '../internal/pages/dist',
    emptyOutDir: true,
    manifest: true,
    target: 'es2022',
    modulePreload: false, // pages name what they need in their heads
    assetsInlineLimit: 0,
    rolldownOptions: {
      input: [
        'src/watch/main.tsx',
        'src/watch/hls.ts',
        'src/list/main.tsx',
        'src/console/main.tsx',
      ],
    },
    chunkSizeWarningLimit: 700,
  },
})
