import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { since } from './format'
import { Box, Find, Head } from './parts'
import { type Server, useServer } from './server'

/** The configuration in force. */
export function Settings({ server }: { server: Server }): JSX.Element {
  useServer(server)
  const [wanted, setWanted] = useState('')
  const [changed, setChanged] = useState(false)
  const { config, version } = server
  const options = config.options.filter(
    option =>
      `${option.name} ${option.doc}`.toLowerCase().includes(wanted.toLowerCase()) &&
      (!changed || option.value !== option.default),
  )
  return (
    <>
      <Head title="Settings">
        {version && (
          <p class="state">
            <span class="badge off">livego {version.version}</span>
          </p>
        )}
      </Head>
      <p class="soft lead">
        {config.file ? (
          <>
            From <code>{config.file}</code>, flags and the environment.
          </>
        ) : (
          'From flags and the environment; no file was read.'
        )}{' '}
        Secrets are hidden. {version && `${version.go}, up for ${since(version.started)}.`}
      </p>
      <div class="boxes">
        <Box title="Ports">
          <dl class="facts-list">
            {server.listeners.map(({ protocol, scheme, port }) => (
              <div key={protocol + scheme}>
                <dt>{protocol}</dt>
                <dd>
                  {port} <span class="soft">{scheme}</span>
                </dd>
              </div>
            ))}
          </dl>
        </Box>
        <Box title="Apps">
          <dl class="facts-list">
            {config.apps.map(app => (
              <div key={app.name}>
                <dt>{app.name}</dt>
                <dd>
                  {[app.live && 'RTMP', app.flv && 'FLV', app.hls && 'HLS']
                    .filter(Boolean)
                    .join(' · ')}
                </dd>
              </div>
            ))}
          </dl>
        </Box>
      </div>
      <div class="line">
        <Find label="Find an option" value={wanted} change={setWanted} />
        <label class="check">
          <input
            type="checkbox"
            checked={changed}
            onChange={event => setChanged(event.currentTarget.checked)}
          />
          Only what was changed
        </label>
      </div>
      <ul class="options">
        {options.map(({ name, value, default: usual, doc, reload }) => (
          <li key={name} class={value === usual ? '' : 'changed'}>
            <div class="option-head">
              <code class="option-name">{name}</code>
              <code class="option-value">{value || '–'}</code>
            </div>
            <p>{doc}</p>
            <p class="soft">
              {value !== usual && (
                <>
                  Default: <code>{usual || 'empty'}</code>.{' '}
                </>
              )}
              {reload && 'A reload takes over a new value.'}
            </p>
          </li>
        ))}
      </ul>
    </>
  )
}
