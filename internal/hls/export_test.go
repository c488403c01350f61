package hls

// renderFull renders a whole playlist, and compresses nothing.
func renderFull(r *rendition, v *renditionView, others []*rendition) {
	m := mediaRenderer{id: r.id, view: v, init: noInit}
	_, _ = m.render(r, others, nil)
}
