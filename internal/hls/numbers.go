package hls

import "time"

// yearZero is when numbers and media times were 0: the first day of 2026 in Unix seconds.
const yearZero = 1_767_225_600

// firstNumber returns the least media sequence number with which a life begins: the Unix time, so that a server that starts again goes on with
// a higher one. Where segments are shorter than a second their numbers rise faster than that, and so does this one, which counts
// from 2026 then: there are clients that read no number above 2^31.
func firstNumber(now time.Time, segment time.Duration) int64 {
	if segment >= time.Second {
		return now.Unix()
	}
	return (now.Unix() - yearZero) * int64((time.Second+segment-1)/segment)
}
