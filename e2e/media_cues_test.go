package e2e

import (
	"encoding/base64"
	"encoding/hex"
	"math"
	"strings"
	"testing"
	"time"
)

// webCue is one of the cues that a player made of what a stream says of its events.
type webCue struct {
	// Type is where it comes from: an ID3 tag in the media, or a date range of the playlist.
	Type string `json:"type"`
	// Key and Info name the frame of the ID3 tag, or the attribute.
	Key  string `json:"key"`
	Info string `json:"info"`
	// Data is the text, or bytes as "0x" and hexadecimal digits.
	Data string `json:"data"`
	// Start is on the media's timeline.
	Start float64 `json:"start"`
}

// cueScript lists the cues of all metadata tracks.
const cueScript = `[...video.textTracks].filter(track => track.kind === 'metadata').flatMap(track => [...(track.cues ?? [])]).map(cue => {
  const data = cue.value?.data
  const text = data instanceof ArrayBuffer ? '0x' + [...new Uint8Array(data)].map(b => b.toString(16).padStart(2, '0')).join('') : String(data)
  return { type: cue.type ?? '', key: cue.value?.key ?? '', info: cue.value?.info ?? '', data: text, start: cue.startTime }
})`

// TestCuesInBrowser publishes events as script data: hls.js gets each of them as an ID3 tag in the
// media and as a date range, at the same time, and a splice as SCTE-35.
func TestCuesInBrowser(t *testing.T) {
	t.Parallel()
	chromium.turn(t)
	s, room := start(t, "--hls_segment_duration", "1", "--hls_list_size", "6"), roomOf(t)
	const section = "fc301100000000000000fff000000000007a4fbf"
	splice, err := hex.DecodeString(section)
	if err != nil {
		t.Fatal(err)
	}
	event := func(name string, properties object) tag { return tag{kind: typeData, body: amf(name, properties)} }
	tags := withBad(flvClip(t, "h264-aac", 5), 1500, event("onCuePoint", object{"name", "goal", "type", "event"}))
	tags = withBad(tags, 2500, event("onTextData", object{"text", "Hello, viewer"}))
	tags = withBad(tags, 3500, event("onAdCue", object{"cue", base64.StdEncoding.EncodeToString(splice)}))
	publish(t, s, s.key(t, room), tags, pacing{loop: true})
	s.waitOnAir(t, room)
	p := webPlay(t, hlsJS, s.indexURL(room), lowLatency)
	p.waitPlaying(t)
	var cues []webCue
	find := func(from, key, data string) (first *webCue) {
		for i, c := range cues {
			if strings.Contains(c.Type, from) && c.Key == key && strings.Contains(c.Data, data) {
				return &cues[i]
			}
		}
		return nil
	}
	const inMedia, inPlaylist = "emsg/ID3", "quicktime.HLS"
	wants := []struct{ from, key, data string }{
		{inMedia, "TXXX", `"name":"goal"`}, {inPlaylist, "X-NAME", "goal"}, {inPlaylist, "X-TYPE", "event"},
		{inMedia, "TXXX", "Hello, viewer"}, {inPlaylist, "X-TEXT", "Hello, viewer"},
		{inPlaylist, "SCTE35-CMD", "0x" + section},
	}
	// Each comes again with every round of the clip, and hls.js forgets those that have left the
	// playlist: one pair of a round has to do.
	apart := func() float64 {
		least := math.Inf(1)
		for _, c := range cues {
			for _, d := range cues {
				if strings.Contains(c.Type, inMedia) && c.Info == "onCuePoint" && strings.Contains(d.Type, inPlaylist) && d.Key == "X-NAME" {
					least = min(least, math.Abs(c.Start-d.Start))
				}
			}
		}
		return least
	}
	all := func() bool {
		for _, w := range wants {
			if find(w.from, w.key, w.data) == nil {
				return false
			}
		}
		return true
	}
	if !waitUntil(slack*30*time.Second, func() bool {
		p.evaluate(t, cueScript, &cues)
		return all() && apart() <= 0.1
	}) {
		t.Fatalf("not all of %q, or the ID3 tag is %.3f s from its date range: %+v", wants, apart(), cues)
	}
}
