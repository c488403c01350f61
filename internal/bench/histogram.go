package bench

import (
	"math/bits"
	"time"
)

// A bucket of the histogram is at most 1/64 of its times wide.
const (
	subBits = 6
	buckets = (64 - subBits) << subBits
)

// histogram counts times with an error of less than 2 % in fixed memory. Its zero value is empty.
type histogram struct {
	counts [buckets]uint64
	n      uint64
	max    time.Duration
}

// add counts a time; below 0, as clocks of two machines may make it, is 0.
func (h *histogram) add(d time.Duration) {
	d = max(d, 0)
	h.counts[bucket(uint64(d/time.Microsecond))]++
	h.n++
	h.max = max(h.max, d)
}

// bucket numbers are the value itself at first, then go on with the highest bits and the exponent.
func bucket(us uint64) int {
	exponent := max(bits.Len64(us)-subBits-1, 0)
	return min(exponent<<subBits+int(us>>exponent), buckets-1)
}

// upper returns the largest time in a bucket.
func upper(bucket int) time.Duration {
	exponent := max(bucket>>subBits-1, 0)
	us := uint64(bucket-exponent<<subBits+1)<<exponent - 1
	return time.Duration(us) * time.Microsecond
}

// quantile returns the time that a share of the times does not exceed.
func (h *histogram) quantile(share float64) time.Duration {
	rank, sum := uint64(share*float64(h.n)), uint64(0)
	for i, n := range h.counts {
		if sum += n; sum > rank {
			return min(upper(i), h.max)
		}
	}
	return h.max
}

// Quantiles describe a set of times, in milliseconds.
type Quantiles struct {
	Count uint64  `json:"count"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
}

func (h *histogram) quantiles() Quantiles {
	return Quantiles{
		Count: h.n,
		P50:   milliseconds(h.quantile(0.5)),
		P90:   milliseconds(h.quantile(0.9)),
		P99:   milliseconds(h.quantile(0.99)),
		Max:   milliseconds(h.max),
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
