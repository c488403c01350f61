package hls

// Lacks says whether a path is one of a file of media of a stream that is here, and the file is
// not, nor comes in a moment: another server may have made it, if that had the stream before.
func (s *Server) Lacks(path string) bool {
	t := route(path)
	l := s.find(t.name)
	if l == nil {
		return false
	}
	switch t.kind {
	case mediaSegment:
		v := l.transport().view.Load()
		return v == nil || v.Segment(t.seq) == nil
	case cmafSegmentFile, cmafPartFile, cmafInitFile:
		return !l.hasFile(t)
	}
	return false
}

// hasFile says whether there is a file of CMAF, or will be.
func (l *life) hasFile(t target) bool {
	if last, _ := l.cmaf.LastView(t.id); last != nil && piecesOf(last, t) != nil {
		return true
	}
	rendition := l.cmaf.Rendition(t.id)
	if rendition == nil {
		return false
	}
	v := rendition.View.Load()
	if v == nil {
		return false
	}
	if seq, part, ok := v.Next(); ok && t.kind == cmafPartFile && seq == t.seq && part == t.part {
		return true
	}
	return piecesOf(v, t) != nil || t.kind != cmafInitFile && v.Stored.At(t.seq) != nil && !misses(v, t)
}
