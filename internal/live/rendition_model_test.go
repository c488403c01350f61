package live

import (
	"io"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"livego/internal/media"
)

// frame is a picture of the modelled encoder: which of its clocks it is of, and the time on that.
type frame struct{ clock, at int }

// model is one encoder with three outputs. Each of them delivers its frames in order, later than
// the others or not, loses its connection and comes back; the encoder's clock jumps now and then.
type model struct {
	t       *rapid.T
	hub     *Hub
	frames  []frame // that the encoder has made
	outputs []*output
	now     int // ms; one frame is made each 40 ms
	clock   int
	base    int // encoder time of the clock's first frame
	since   int // when the clock began
}

type output struct {
	name        string
	pub         *Publisher // nil: not connected
	publication *Publication
	reader      *Reader
	next        int // the frame to be delivered
	last        map[media.Kind]time.Duration
	times       map[frame]time.Duration
}

const (
	modelFrame  = 40
	modelGOP    = 25
	modelSkew   = 3000 / modelFrame
	modelPeriod = 15_000
)

func (m *model) advance() {
	for range rapid.IntRange(1, 60).Draw(m.t, "frames") {
		m.frames = append(m.frames, frame{m.clock, m.base + m.now - m.since})
		m.now += modelFrame
		for _, o := range m.outputs {
			if o.pub == nil {
				o.next = len(m.frames)
			}
			if len(m.frames)-o.next > modelSkew {
				m.deliver(o, 1)
			}
		}
	}
}

func (m *model) deliver(o *output, n int) {
	for ; n > 0 && o.next < len(m.frames) && o.pub != nil; n-- {
		f := m.frames[o.next]
		e := encoder{video: modelTracks[0], audio: modelTracks[1]}
		picture, sound := e.picture(f.at, o.next%modelGOP == 0), e.sound(f.at)
		picture.PTS, picture.Arrived = picture.DTS, int64(o.next) // live passes Arrived on
		o.next++
		if err := o.pub.write([]media.AccessUnit{picture, sound}, wall(m.now)); err != nil {
			m.t.Fatalf("%s: %v", o.name, err)
		}
		m.read(o)
	}
}

func (m *model) read(o *output) {
	buf := make([]media.AccessUnit, 64)
	for {
		n, err := o.reader.Poll(buf)
		for _, u := range buf[:n] {
			if u.DTS < o.last[u.Track.Kind] {
				m.t.Fatalf("%s: time goes back from %v to %v", o.name, o.last[u.Track.Kind], u.DTS)
			}
			o.last[u.Track.Kind] = u.DTS
			if u.Track.Kind == media.Video && u.Header == media.Sample {
				m.compare(o, m.frames[u.Arrived], u.DTS)
			}
		}
		if n == 0 || err != nil {
			return
		}
	}
}

// compare is the property: a frame has one stream time, whichever output it came by.
func (m *model) compare(o *output, f frame, at time.Duration) {
	o.times[f] = at
	for _, other := range m.outputs {
		if t, ok := other.times[f]; ok && t != at {
			m.t.Fatalf("frame %v is at %v by %q and at %v by %q", f, t, other.name, at, o.name)
		}
	}
}

// beginning says that a session has not begun yet. What it will deliver may be older than a new
// timeline that begins meanwhile.
func (m *model) beginning() bool {
	return slices.ContainsFunc(m.outputs, func(o *output) bool { return o.pub != nil && !o.pub.started })
}

func (m *model) lose(o *output) {
	if o.pub != nil && !m.beginning() {
		o.pub.Lose(io.EOF)
		o.pub = nil
	}
}

func (m *model) connect(o *output) {
	// While outputs are on two clocks nobody can tell where a new session belongs: it is aligned by
	// arrival, or refused.
	if o.pub != nil || m.now-m.since < 2*modelSkew*modelFrame {
		return
	}
	pub, err := m.hub.Publish(Name{"live", "movie", o.name}, func(error) {})
	if err != nil {
		m.t.Fatal(err)
	}
	o.pub, o.next = pub, len(m.frames)
	if o.publication != pub.Publication() {
		o.publication, o.last = pub.Publication(), make(map[media.Kind]time.Duration)
		o.reader = o.publication.NewReader(ReaderOptions{GOPs: -1})
	}
}

var modelTracks = [2]*media.Track{{Kind: media.Video, Codec: media.H264}, {Kind: media.Audio, Codec: media.AAC}}

// TestStreamTimesOfRenditions: whatever the order of arrival, losses and jumps of the encoder's
// clock, equal encoder times are equal stream times in all publications, and times rise.
func TestStreamTimesOfRenditions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &model{t: t, hub: newHub(Options{}), since: -modelPeriod}
		defer m.hub.Close()
		for _, name := range []string{"", "b", "c"} {
			m.outputs = append(m.outputs, &output{name: name, times: make(map[frame]time.Duration)})
		}
		pick := func() *output { return rapid.SampledFrom(m.outputs).Draw(t, "output") }
		t.Repeat(map[string]func(*rapid.T){
			"advance": func(*rapid.T) { m.advance() },
			"deliver": func(t *rapid.T) { m.deliver(pick(), rapid.IntRange(1, 100).Draw(t, "count")) },
			"connect": func(*rapid.T) { m.connect(pick()) },
			"lose":    func(*rapid.T) { m.lose(pick()) },
			"jump": func(t *rapid.T) {
				if m.now-m.since < modelPeriod || m.beginning() {
					return
				}
				m.clock++
				m.base, m.since = rapid.IntRange(0, 1000).Draw(t, "base")*100_000, m.now
			},
			"": func(*rapid.T) {},
		})
	})
}
