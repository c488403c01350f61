package hls

import "time"

// discontinuityUnit is the time in which the least discontinuity sequence number of a new playlist rises by one.
const discontinuityUnit = 10 * time.Minute

// discontinuityZero is when that number was 0: the first day of 2026 in Unix seconds.
const discontinuityZero = 1_767_225_600

// firstNumber returns the least media sequence number with which a life begins: the Unix time, so that a server that starts again goes on with
// a higher one. Where segments are shorter than a second their numbers rise faster than that, and so does this one, which counts
// from 2026 then: there are clients that read no number above 2^31.
func firstNumber(now time.Time, segment time.Duration) int64 {
	if segment >= time.Second {
		return now.Unix()
	}
	return (now.Unix() - discontinuityZero) * int64((time.Second+segment-1)/segment)
}

// firstDiscontinuity returns the discontinuity sequence number with which a life begins that follows one that used numbers up to last
// (negative: none is known). It takes the number from the clock, as for media sequence numbers, so that it does not go back when the
// server starts again. But it must stay small: hls.js takes it for the index of an array and copies that array, which stops the
// page for half a minute when the number is a Unix time.
func firstDiscontinuity(now time.Time, last int64) int64 {
	return max(0, last+1, (now.Unix()-discontinuityZero)/int64(discontinuityUnit/time.Second))
}
