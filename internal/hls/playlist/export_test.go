package playlist

// RenderFull renders a whole playlist, and compresses nothing.
func RenderFull(r *Rendition, v *View, others []*Rendition) {
	m := mediaRenderer{id: r.ID, view: v, init: noInit}
	_, _ = m.render(r, others, nil)
}
