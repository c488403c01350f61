import '../ui/theme.css'
import './watch.css'
import { render } from 'preact'
import { Page } from './page'
import { firstStatus, type Status } from './status'

const root = document.getElementById('app')
if (root) render(<Page first={firstStatus<Status>()} />, root)
