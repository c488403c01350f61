package e2e

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// chunker cuts messages into chunks as encoders do (RTMP 1.0 §5.3.1): the first of a chunk stream
// has a header of type 0, and the others leave out what they can.
type chunker struct {
	size    int
	streams map[byte]message // the newest message of each chunk stream
}

// chunks returns those of a message. Times from 0xFFFFFF on are extended ones.
func (c *chunker) chunks(m message) (all [][]byte) {
	id := map[byte]byte{typeAudio: 4, typeVideo: 6, typeAggregate: 7}[m.kind]
	before, begun := c.streams[id]
	c.streams[id] = m
	form, field := byte(0), m.time
	if begun {
		if form, field = 1, m.time-before.time; before.kind == m.kind && len(before.body) == len(m.body) {
			form = 2
		}
	}
	var extended []byte
	if field >= 0xFFFFFF {
		extended = binary.BigEndian.AppendUint32(nil, field)
	}
	n := len(m.body)
	head := append([]byte{form<<6 | id}, binary.BigEndian.AppendUint32(nil, min(field, 0xFFFFFF)<<8)[:3]...)
	if form < 2 {
		head = append(head, byte(n>>16), byte(n>>8), byte(n), m.kind)
	}
	if form == 0 {
		head = binary.LittleEndian.AppendUint32(head, m.stream)
	}
	for at := 0; at == 0 || at < n; at += c.size {
		if at > 0 {
			head = []byte{3<<6 | id}
		}
		all = append(all, append(append(head, extended...), m.body[at:min(at+c.size, n)]...))
	}
	return all
}

// chunkForms are ways to send messages.
func chunkForms() map[string]func() func(*probe, message) error {
	begin := func(p *probe, c *chunker) {
		if c.streams == nil {
			c.streams = map[byte]message{}
			_ = p.setChunkSize(c.size)
		}
	}
	return map[string]func() func(*probe, message) error{
		"sound between the chunks of pictures": func() func(*probe, message) error {
			c, picture := &chunker{size: 128}, [][]byte{}
			return func(p *probe, m message) error {
				begin(p, c)
				all := c.chunks(m)
				var out []byte
				if m.kind == typeVideo {
					out, picture = bytes.Join(picture, nil), all
				} else {
					for ; len(all)+len(picture) > 0; picture, all = picture[min(1, len(picture)):], all[min(1, len(all)):] {
						out = append(out, bytes.Join(picture[:min(1, len(picture))], nil)...)
						out = append(out, bytes.Join(all[:min(1, len(all))], nil)...)
					}
				}
				_, err := p.Write(out)
				return err
			}
		},
		"pictures that are begun and aborted": func() func(*probe, message) error {
			c := &chunker{size: 200}
			return func(p *probe, m message) error {
				begin(p, c)
				all := c.chunks(m)
				var out []byte
				if m.kind == typeVideo && len(all) > 3 {
					abort := append([]byte{2, 0, 0, 0, 0, 0, 4, typeAbort, 0, 0, 0, 0}, 0, 0, 0, 6)
					out = append(append(bytes.Join(all[:2], nil), abort...), 0xC6&^0xC0, byte(m.time>>16), byte(m.time>>8), byte(m.time))
					n := len(m.body)
					out = append(out, byte(n>>16), byte(n>>8), byte(n), m.kind)
					all[0] = all[0][len(all[0])-c.size:]
					out = binary.LittleEndian.AppendUint32(out, m.stream)
				}
				_, err := p.Write(append(out, bytes.Join(all, nil)...))
				return err
			}
		},
		"aggregates of time 0": func() func(*probe, message) error {
			c, held := &chunker{size: 4096}, []message{}
			return func(p *probe, m message) (err error) {
				begin(p, c)
				if len(held) > 0 && m.time-held[0].time >= 100 {
					var body []byte
					for _, one := range held {
						n, at := len(one.body), one.time
						body = append(body, one.kind, byte(n>>16), byte(n>>8), byte(n), byte(at>>16), byte(at>>8), byte(at), byte(at>>24), 0, 0, 0)
						body = binary.BigEndian.AppendUint32(append(body, one.body...), uint32(n+11))
					}
					_, err = p.Write(bytes.Join(c.chunks(message{kind: typeAggregate, stream: 1, body: body}), nil))
					held = held[:0]
				}
				held = append(held, m)
				return err
			}
		},
	}
}

// TestChunks: in whatever chunks messages come, players of all protocols get them, when they
// should.
func TestChunks(t *testing.T) {
	t.Parallel()
	for name, form := range chunkForms() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tags := wrap(t, clip(t, "h264-aac", kindSeconds, "mp4"), wrapping{})
			s, room := shared(t), roomOf(t)
			how := pacing{send: form()}
			if name == "sound between the chunks of pictures" {
				how.from = 1<<24 - 2000
			}
			for what, got := range publishEverywhere(t, s, room, tags, how) {
				comparison{tolerance: 2}.check(t, what, unitsOf(tags, h264NAL), got)
				if len(got) < 150 {
					t.Errorf("%s: %d units", what, len(got))
				}
			}
		})
	}
}
