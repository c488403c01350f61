package live

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"livego/internal/media"
)

// TestTimesOfOddEncoders: whatever an encoder does to its time stamps, times rise, nothing is lost,
// all takes as long as it took, and sound stays with the pictures.
func TestTimesOfOddEncoders(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var said string
		say := func(format string, args ...any) { said += fmt.Sprintf(format, args...) + "; " }
		seed, most := rapid.Uint64Range(0, 1000).Draw(rt, "seed"), rapid.SampledFrom([]int{0, 10, 120}).Draw(rt, "jitter")
		c := camera{seconds: 16, delay: jittery(seed, most)}
		if most > 0 {
			say("jitter %d of %d", seed, most)
		}
		base := rapid.SampledFrom([]int{0, 90_000, 7200_000, 1<<32 - 8000, 1<<31 - 8000}).Draw(rt, "base")
		say("base %d", base)
		own := map[media.Kind]int{}
		if rapid.IntRange(0, 3).Draw(rt, "own") == 0 {
			own[rapid.SampledFrom(kindsOfMedia).Draw(rt, "kind")] = rapid.SampledFrom(sizes()[5:]).Draw(rt, "by")
			say("own %v", own)
		}
		group := map[media.Kind]int{media.Video: 1, media.Audio: 1}
		if rapid.IntRange(0, 3).Draw(rt, "group") == 0 {
			group[rapid.SampledFrom(kindsOfMedia).Draw(rt, "kind")] = rapid.IntRange(2, 6).Draw(rt, "n")
			say("group %v", group)
		}
		jumpAt, jumpBy := 1<<40, 0
		if rapid.IntRange(0, 2).Draw(rt, "jump") == 0 {
			jumpAt, jumpBy = rapid.IntRange(5000, 12_000).Draw(rt, "at"), rapid.SampledFrom(sizes()).Draw(rt, "by")
			say("jump %d at %d", jumpBy, jumpAt)
		}
		wrongKind := rapid.SampledFrom([]media.Kind{0, media.Video, media.Audio}).Draw(rt, "wrong kind")
		wrongBy := rapid.SampledFrom(sizes()).Draw(rt, "wrong by")
		every, pairs := rapid.IntRange(20, 100).Draw(rt, "every"), rapid.IntRange(0, 2).Draw(rt, "how many")
		if group[media.Video]+group[media.Audio] > 2 {
			pairs = 0
		}
		if pairs > 0 {
			say("wrong %v by %d, %d of %d", wrongKind, wrongBy, pairs, every)
		}
		wrong := func(k media.Kind, n, ms int) bool { // not just where the encoder's time jumps: who could tell?
			return (wrongKind == 0 || wrongKind == k) && n > 50 && n%every < pairs && (ms < jumpAt-500 || ms > jumpAt+500)
		}
		c.stamp = func(k media.Kind, n, _ int) int {
			var ms int
			if first := n - n%group[k]; k == media.Video {
				ms = first * 40
			} else {
				ms = first * 1024 / 48
			}
			at := base + ms + own[k]
			if ms >= jumpAt {
				at += jumpBy
			}
			if wrong(k, n, ms) {
				at += wrongBy
			}
			return at
		}
		got, _ := c.run(rt)
		check(rt, said, c, got, bounds{from: 3000, off: 90, wrong: 8, breaks: 3})
	})
}

var kindsOfMedia = []media.Kind{media.Video, media.Audio}
