package hls

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
	// partHoldBacks is PART-HOLD-BACK in part target durations (RFC 8216bis 4.4.3.8 recommends
	// three at least).
	partHoldBacks = 3
	// dateFormat is that of EXT-X-PROGRAM-DATE-TIME.
	dateFormat = "2006-01-02T15:04:05.000Z07:00"
)

// playlist returns a form of the rendition's playlist at a view. others is asked for the rest of the
// ladder, by name.
func (r *rendition) playlist(v *renditionView, form playlistForm, others func() []*rendition, gzip *compressor) *lazyText {
	return v.texts[form].get(gzip, func() (rendered, error) {
		m := mediaRenderer{id: r.id, view: v, form: form, init: noInit}
		return m.render(r, others(), gzip)
	})
}

// mediaRenderer writes one form of a media playlist.
type mediaRenderer struct {
	b    []byte
	id   string
	view *renditionView
	form playlistForm
	// init is the number of the initialization section that applies where the text ends.
	init int64
}

// noInit is no initialization section's number.
const noInit = -1

func (m *mediaRenderer) render(r *rendition, others []*rendition, gzip *compressor) (text rendered, err error) {
	list, stored := m.view.segments[m.view.listed:], &m.view.stored
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
		m.segment(list[i], after[i] < partsFor*m.view.target)
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
func (m *mediaRenderer) foot(others []*rendition) {
	if !m.form.framesOnly() && !m.view.ended {
		m.hint()
		m.reports(others)
	}
	if m.view.ended {
		m.b = append(m.b, "#EXT-X-ENDLIST\n"...)
	}
}

// estimate is about the size of the text.
func (m *mediaRenderer) estimate(list []*cmafSegment) int {
	n := 512
	for _, s := range list {
		n += 120 + 70*len(s.parts)
	}
	return n
}

// tails returns how much media follows each segment.
func tails(list []*cmafSegment) []time.Duration {
	after, sum := make([]time.Duration, len(list)), time.Duration(0)
	for i := len(list) - 1; i >= 0; i-- {
		after[i] = sum
		sum += list[i].duration
	}
	return after
}

func (m *mediaRenderer) head(list []*cmafSegment) {
	v := m.view
	m.b = append(m.b, "#EXTM3U\n#EXT-X-VERSION:"+mediaVersion+"\n#EXT-X-TARGETDURATION:"...)
	m.b = strconv.AppendInt(m.b, int64(v.target/time.Second), 10)
	if m.form.framesOnly() {
		m.b = append(m.b, "\n#EXT-X-I-FRAMES-ONLY"...)
	}
	m.b = append(m.b, "\n#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL="...)
	m.b = appendSeconds(m.b, skipAfter*v.target)
	m.b = append(m.b, ",HOLD-BACK="...)
	m.b = appendSeconds(m.b, minListed*v.target)
	m.b = append(m.b, ",PART-HOLD-BACK="...)
	m.b = appendSeconds(m.b, max(v.partHoldBack, partHoldBacks*v.partTarget))
	if !m.form.framesOnly() {
		m.b = append(m.b, "\n#EXT-X-PART-INF:PART-TARGET="...)
		m.b = appendSeconds(m.b, v.partTarget)
	}
	first, discontinuities := int64(0), v.discontinuitySeq
	if len(list) > 0 {
		first = list[0].seq
	}
	if e := v.stored.At(v.stored.First()); e != nil {
		first, discontinuities = e.Seq, e.DiscontinuitySeq
	}
	m.b = append(m.b, "\n#EXT-X-MEDIA-SEQUENCE:"...)
	m.b = strconv.AppendInt(m.b, first, 10)
	m.b = append(m.b, "\n#EXT-X-DISCONTINUITY-SEQUENCE:"...)
	m.b = strconv.AppendInt(m.b, discontinuities, 10)
	m.b = append(m.b, '\n')
}

// skippable returns how many segments a delta update leaves out (RFC 8216bis 6.2.5.1).
func (m *mediaRenderer) skippable(list []*cmafSegment, after []time.Duration) int {
	if !m.form.isDelta() || m.view.ended || len(list) == 0 {
		return 0
	}
	stored, boundary, n := &m.view.stored, skipAfter*m.view.target, 0
	if last := list[len(list)-1]; !last.complete {
		boundary += last.duration // it is measured from the end of the last segment that is whole
	}
	for n < len(list) && list[n].complete && after[n] >= boundary {
		n++
	}
	if n > 0 {
		return stored.Len() + n
	}
	follows := after[0] + list[0].duration
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
func (m *mediaRenderer) skip(list []*cmafSegment, n int) {
	if n == 0 {
		return
	}
	m.b = append(m.b, "#EXT-X-SKIP:SKIPPED-SEGMENTS="...)
	m.b = strconv.AppendInt(m.b, int64(n), 10)
	m.b = append(m.b, '\n')
	stored := &m.view.stored
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
		m.keep(s.init)
	}
	for seq := shown; seq < stored.End(); seq++ {
		s := storedSegment(stored.At(seq))
		m.segment(&s, false)
	}
}

// keep notes an initialization section that was written, or skipped, and says whether it is another
// one.
func (m *mediaRenderer) keep(init *initSegment) bool {
	if init == nil || init.seq == m.init {
		return false
	}
	m.init = init.seq
	return true
}

func (m *mediaRenderer) dates(s *cmafSegment) {
	for _, attributes := range s.dates {
		m.b = append(m.b, "#EXT-X-DATERANGE:"...)
		m.b = append(m.b, attributes...)
		m.b = append(m.b, '\n')
	}
}

func (m *mediaRenderer) segment(s *cmafSegment, parts bool) {
	if !s.complete && (len(s.parts) == 0 || m.form.framesOnly()) {
		return
	}
	m.before(s)
	if parts && !m.form.framesOnly() {
		for i := range s.parts {
			m.part(s, i)
		}
	}
	if !s.complete {
		return
	}
	gap := s.gap || m.form.framesOnly() && (!s.independent || s.key == 0)
	if gap {
		m.b = append(m.b, "#EXT-X-GAP\n"...)
	}
	m.b = append(m.b, "#EXTINF:"...)
	m.b = appendSeconds(m.b, s.duration)
	m.b = append(m.b, ",\n"...)
	if m.form.framesOnly() && !gap {
		m.b = append(m.b, "#EXT-X-BYTERANGE:"...)
		m.b = strconv.AppendInt(m.b, int64(s.key), 10)
		m.b = append(m.b, "@0\n"...)
	}
	m.name(s.seq)
	m.b = append(m.b, partSuffix+"\n"...)
}

// before writes the tags in front of a segment and its parts.
func (m *mediaRenderer) before(s *cmafSegment) {
	if s.discontinuity {
		m.b = append(m.b, "#EXT-X-DISCONTINUITY\n"...)
	}
	if m.keep(s.init) {
		m.b = append(m.b, `#EXT-X-MAP:URI="`...)
		m.name(s.init.seq)
		m.b = append(m.b, initSuffix+"\"\n"...)
	}
	if !s.at.IsZero() {
		m.b = append(m.b, "#EXT-X-PROGRAM-DATE-TIME:"...)
		m.b = s.at.UTC().AppendFormat(m.b, dateFormat)
		m.b = append(m.b, '\n')
	}
	m.dates(s)
}

func (m *mediaRenderer) part(s *cmafSegment, i int) {
	m.b = append(m.b, "#EXT-X-PART:DURATION="...)
	m.b = appendSeconds(m.b, s.parts[i].duration)
	m.b = append(m.b, `,URI="`...)
	m.partName(s.seq, i)
	m.b = append(m.b, '"')
	if s.parts[i].gap {
		m.b = append(m.b, ",GAP=YES"...)
	}
	if s.parts[i].independent {
		m.b = append(m.b, ",INDEPENDENT=YES"...)
	}
	m.b = append(m.b, '\n')
}

// hint names the part that comes next (RFC 8216bis 4.4.5.3).
func (m *mediaRenderer) hint() {
	seq, part, ok := m.view.next()
	if !ok {
		return
	}
	m.b = append(m.b, `#EXT-X-PRELOAD-HINT:TYPE=PART,URI="`...)
	m.partName(seq, part)
	m.b = append(m.b, "\"\n"...)
}

// reports tells how far the other renditions are (RFC 8216bis 4.4.5.4).
func (m *mediaRenderer) reports(others []*rendition) {
	for _, o := range others {
		v := o.view.Load()
		if v == nil {
			continue
		}
		seq, part, ok := v.last()
		if !ok {
			continue
		}
		m.b = append(m.b, `#EXT-X-RENDITION-REPORT:URI="`+indexPrefix...)
		m.b = append(m.b, o.id...)
		m.b = append(m.b, playlistSuffix+`",LAST-MSN=`...)
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
	m.b = append(m.b, partSuffix...)
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
