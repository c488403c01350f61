package playlist

import (
	"strconv"
	"time"
)

const (
	// mediaVersion is the least that allows EXT-X-SKIP (RFC 8216bis 8). The full playlist has it
	// too: an update must not change it.
	mediaVersion = "9"
	// skipAfter is the skip boundary in target durations, the least that is allowed (RFC 8216bis
	// 4.4.3.8).
	skipAfter = 6
	// partsFor is for how many target durations before the end parts are listed (RFC 8216bis
	// 6.2.2).
	partsFor = 3
	// PartHoldBacks is PART-HOLD-BACK in part target durations (RFC 8216bis 4.4.3.8 recommends
	// three at least).
	PartHoldBacks = 3
	// dateFormat is that of EXT-X-PROGRAM-DATE-TIME.
	dateFormat = "2006-01-02T15:04:05.000Z07:00"
)

// Playlist returns a form of the rendition's playlist at a view. others is asked for the rest of
// the ladder, by name.
func (r *Rendition) Playlist(v *View, form Form, others func() []*Rendition, gzip *Compressor) *Text {
	return v.texts[form].get(gzip, func() (rendered, error) {
		m := mediaRenderer{id: r.ID, view: v, form: form, init: noInit}
		return m.render(r, others(), gzip)
	})
}

// mediaRenderer writes one form of a media playlist.
type mediaRenderer struct {
	b    []byte
	id   string
	view *View
	form Form
	// init is the number of the initialization section that applies where the text ends.
	init int64
}

// noInit is no initialization section's number.
const noInit = -1

func (m *mediaRenderer) render(r *Rendition, others []*Rendition, gzip *Compressor) (text rendered, err error) {
	list, stored := m.view.Segments[m.view.Listed:], &m.view.Stored
	m.b = make([]byte, 0, m.estimate(list))
	m.head(list)
	after := tails(list)
	n := m.skippable(list, after)
	if n == 0 && stored.Len() > 0 {
		text.head, m.b = m.b, make([]byte, 0, m.estimate(list))
		if text.runs, err = r.rewind[m.form.media()].runs(gzip, m.id, m.form, stored); err != nil {
			return text, err
		}
		m.init = stored.At(stored.End() - 1).Init
	} else {
		m.skip(list, n)
	}
	for i := max(0, n-stored.Len()); i < len(list); i++ {
		m.segment(list[i], after[i] < partsFor*m.view.Target)
	}
	m.foot(others)
	if text.runs == nil {
		text.head = m.b
	} else {
		text.tail = m.b
	}
	return text, nil
}

// foot writes what stands after the segments.
func (m *mediaRenderer) foot(others []*Rendition) {
	if !m.form.framesOnly() && !m.view.Ended {
		m.hint()
		m.reports(others)
	}
	if m.view.Ended {
		m.b = append(m.b, "#EXT-X-ENDLIST\n"...)
	}
}

// estimate is about the size of the text.
func (m *mediaRenderer) estimate(list []*Segment) int {
	n := 512
	for _, s := range list {
		n += 120 + 70*len(s.Parts)
	}
	return n
}

// tails returns how much media follows each segment.
func tails(list []*Segment) []time.Duration {
	after, sum := make([]time.Duration, len(list)), time.Duration(0)
	for i := len(list) - 1; i >= 0; i-- {
		after[i] = sum
		sum += list[i].Duration
	}
	return after
}

func (m *mediaRenderer) head(list []*Segment) {
	v := m.view
	m.b = append(m.b, "#EXTM3U\n#EXT-X-VERSION:"+mediaVersion+"\n#EXT-X-TARGETDURATION:"...)
	m.b = strconv.AppendInt(m.b, int64(v.Target/time.Second), 10)
	if m.form.framesOnly() {
		m.b = append(m.b, "\n#EXT-X-I-FRAMES-ONLY"...)
	}
	m.b = append(m.b, "\n#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL="...)
	m.b = appendSeconds(m.b, skipAfter*v.Target)
	m.b = append(m.b, ",HOLD-BACK="...)
	m.b = appendSeconds(m.b, MinListed*v.Target)
	m.b = append(m.b, ",PART-HOLD-BACK="...)
	m.b = appendSeconds(m.b, max(v.PartHoldBack, PartHoldBacks*v.PartTarget))
	if !m.form.framesOnly() {
		m.b = append(m.b, "\n#EXT-X-PART-INF:PART-TARGET="...)
		m.b = appendSeconds(m.b, v.PartTarget)
	}
	first, discontinuities := int64(0), v.DiscontinuitySeq
	if len(list) > 0 {
		first = list[0].Seq
	}
	if e := v.Stored.At(v.Stored.First()); e != nil {
		first, discontinuities = e.Seq, e.DiscontinuitySeq
	}
	m.b = append(m.b, "\n#EXT-X-MEDIA-SEQUENCE:"...)
	m.b = strconv.AppendInt(m.b, first, 10)
	m.b = append(m.b, "\n#EXT-X-DISCONTINUITY-SEQUENCE:"...)
	m.b = strconv.AppendInt(m.b, discontinuities, 10)
	m.b = append(m.b, '\n')
}

// skippable returns how many segments a delta update leaves out (RFC 8216bis 6.2.5.1).
func (m *mediaRenderer) skippable(list []*Segment, after []time.Duration) int {
	if !m.form.isDelta() || m.view.Ended || len(list) == 0 {
		return 0
	}
	stored, boundary, n := &m.view.Stored, skipAfter*m.view.Target, 0
	if last := list[len(list)-1]; !last.Complete {
		boundary += last.Duration // it is measured from the end of the last segment that is whole
	}
	for n < len(list) && list[n].Complete && after[n] >= boundary {
		n++
	}
	if n > 0 {
		return stored.Len() + n
	}
	follows := after[0] + list[0].Duration
	for seq := stored.End() - 1; seq >= stored.First(); seq-- {
		if follows >= boundary {
			return int(seq-stored.First()) + 1
		}
		follows += stored.At(seq).Duration
	}
	return 0
}

// skip writes what stands for the first n segments, and those from disk that follow. Date ranges
// are not media segment tags and stay (RFC 8216bis 4.4.5.2). With nothing to leave out the update
// is the full playlist.
func (m *mediaRenderer) skip(list []*Segment, n int) {
	if n == 0 {
		return
	}
	m.b = append(m.b, "#EXT-X-SKIP:SKIPPED-SEGMENTS="...)
	m.b = strconv.AppendInt(m.b, int64(n), 10)
	m.b = append(m.b, '\n')
	stored := &m.view.Stored
	shown := min(stored.First()+int64(n), stored.End())
	for seq := stored.First(); seq < shown; seq++ {
		e := stored.At(seq)
		m.init = e.Init
		if e.Dates != "" {
			s := storedSegment(e)
			m.dates(&s)
		}
	}
	for _, s := range list[:max(0, n-stored.Len())] {
		m.dates(s)
		m.keep(s.Init)
	}
	for seq := shown; seq < stored.End(); seq++ {
		s := storedSegment(stored.At(seq))
		m.segment(&s, false)
	}
}

// keep notes an initialization section that was written, or skipped, and says whether it is another
// one.
func (m *mediaRenderer) keep(init *Init) bool {
	if init == nil || init.Seq == m.init {
		return false
	}
	m.init = init.Seq
	return true
}

func (m *mediaRenderer) dates(s *Segment) {
	for _, attributes := range s.Dates {
		m.b = append(m.b, "#EXT-X-DATERANGE:"...)
		m.b = append(m.b, attributes...)
		m.b = append(m.b, '\n')
	}
}

func (m *mediaRenderer) segment(s *Segment, parts bool) {
	if !s.Complete && (len(s.Parts) == 0 || m.form.framesOnly()) {
		return
	}
	m.before(s)
	if parts && !m.form.framesOnly() {
		for i := range s.Parts {
			m.part(s, i)
		}
	}
	if !s.Complete {
		return
	}
	gap := s.Gap || m.form.framesOnly() && (!s.Independent || s.Key == 0)
	if gap {
		m.b = append(m.b, "#EXT-X-GAP\n"...)
	}
	m.b = append(m.b, "#EXTINF:"...)
	m.b = appendSeconds(m.b, s.Duration)
	m.b = append(m.b, ",\n"...)
	if m.form.framesOnly() && !gap {
		m.b = append(m.b, "#EXT-X-BYTERANGE:"...)
		m.b = strconv.AppendInt(m.b, int64(s.Key), 10)
		m.b = append(m.b, "@0\n"...)
	}
	m.name(s.Seq)
	m.b = append(m.b, PartSuffix+"\n"...)
}

// before writes the tags in front of a segment and its parts.
func (m *mediaRenderer) before(s *Segment) {
	if s.Discontinuity {
		m.b = append(m.b, "#EXT-X-DISCONTINUITY\n"...)
	}
	if m.keep(s.Init) {
		m.b = append(m.b, `#EXT-X-MAP:URI="`...)
		m.name(s.Init.Seq)
		m.b = append(m.b, InitSuffix+"\"\n"...)
	}
	if !s.At.IsZero() {
		m.b = append(m.b, "#EXT-X-PROGRAM-DATE-TIME:"...)
		m.b = s.At.UTC().AppendFormat(m.b, dateFormat)
		m.b = append(m.b, '\n')
	}
	m.dates(s)
}

func (m *mediaRenderer) part(s *Segment, i int) {
	m.b = append(m.b, "#EXT-X-PART:DURATION="...)
	m.b = appendSeconds(m.b, s.Parts[i].Duration)
	m.b = append(m.b, `,URI="`...)
	m.partName(s.Seq, i)
	m.b = append(m.b, '"')
	if s.Parts[i].Gap {
		m.b = append(m.b, ",GAP=YES"...)
	}
	if s.Parts[i].Independent {
		m.b = append(m.b, ",INDEPENDENT=YES"...)
	}
	m.b = append(m.b, '\n')
}

// hint names the part that comes next (RFC 8216bis 4.4.5.3).
func (m *mediaRenderer) hint() {
	seq, part, ok := m.view.Next()
	if !ok {
		return
	}
	m.b = append(m.b, `#EXT-X-PRELOAD-HINT:TYPE=PART,URI="`...)
	m.partName(seq, part)
	m.b = append(m.b, "\"\n"...)
}

// reports tells how far the other renditions are (RFC 8216bis 4.4.5.4).
func (m *mediaRenderer) reports(others []*Rendition) {
	for _, o := range others {
		v := o.View.Load()
		if v == nil {
			continue
		}
		seq, part, ok := v.Last()
		if !ok {
			continue
		}
		m.b = append(m.b, `#EXT-X-RENDITION-REPORT:URI="`+IndexPrefix...)
		m.b = append(m.b, o.ID...)
		m.b = append(m.b, PlaylistSuffix+`",LAST-MSN=`...)
		m.b = strconv.AppendInt(m.b, seq, 10)
		if part >= 0 {
			m.b = append(m.b, ",LAST-PART="...)
			m.b = strconv.AppendInt(m.b, int64(part), 10)
		}
		m.b = append(m.b, '\n')
	}
}

// name writes the URL of something with a number, relative to the playlist, without its suffix.
func (m *mediaRenderer) name(seq int64) {
	m.b = append(m.b, m.id...)
	m.b = append(m.b, '/')
	m.b = strconv.AppendInt(m.b, seq, 10)
}

func (m *mediaRenderer) partName(seq int64, part int) {
	m.name(seq)
	m.b = append(m.b, '.')
	m.b = strconv.AppendInt(m.b, int64(part), 10)
	m.b = append(m.b, PartSuffix...)
}

// appendSeconds writes a duration in seconds to the microsecond, without zeros at the end.
func appendSeconds(b []byte, d time.Duration) []byte {
	us := int64(d.Round(time.Microsecond) / time.Microsecond)
	b = strconv.AppendInt(b, us/1e6, 10)
	fraction := us % 1e6
	if fraction == 0 {
		return b
	}
	b = append(b, '.')
	for unit := int64(1e5); fraction > 0; unit /= 10 {
		b = append(b, byte('0'+fraction/unit))
		fraction %= unit
	}
	return b
}
