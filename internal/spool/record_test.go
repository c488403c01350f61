package spool

import (
	"strings"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"
)

func segments() *rapid.Generator[Segment] {
	return rapid.Custom(func(t *rapid.T) Segment {
		number := rapid.Int64Range(0, 1<<60)
		e := Segment{
			Seq: number.Draw(t, "seq"), Start: time.Duration(rapid.Int64().Draw(t, "start")), Duration: time.Duration(number.Draw(t, "duration")),
			At: rapid.Int64().Draw(t, "at"), Init: number.Draw(t, "init"), DiscontinuitySeq: number.Draw(t, "disc"),
			Size: number.Draw(t, "size"), Dates: rapid.String().Draw(t, "dates"), stored: rapid.Int64().Draw(t, "stored"),
			Discontinuity: rapid.Bool().Draw(t, "d"), Independent: rapid.Bool().Draw(t, "i"), Gap: rapid.Bool().Draw(t, "g"),
		}
		e.Target = rapid.Int32Range(0, 1<<31-1).Draw(t, "target")
		e.Key = int32(rapid.Int64Range(0, min(e.Size, 1<<31-1)).Draw(t, "key"))
		return e
	})
}

// TestRecords: what was appended is read, one record after the other, and nothing of a torn or
// changed one.
func TestRecords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e, next := segments().Draw(t, "segment"), rapid.Int64Range(1, 1<<60).Draw(t, "next")
		b := appendMark(appendSegment(nil, &e, 7), endRecord, next)
		r, n, err := parseRecord(b)
		if err != nil || r.segment != e || r.kind != segmentRecord || r.initSize != 7 {
			t.Fatalf("%+v, %v", r, err)
		}
		end, m, err := parseRecord(b[n:])
		if err != nil || end.kind != endRecord || end.next != next || n+m != len(b) {
			t.Fatalf("%+v, %v", end, err)
		}
		if _, _, err := parseRecord(b[:rapid.IntRange(0, n-1).Draw(t, "cut")]); err == nil {
			t.Fatal("half a record was read")
		}
		b[rapid.IntRange(0, n-1).Draw(t, "place")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if r, _, err := parseRecord(b); err == nil {
			t.Fatalf("a changed record was read: %+v", r)
		}
	})
}

func TestRecordLimits(t *testing.T) {
	long := seg(5)
	long.Size = segmentSize
	long.Dates = strings.Repeat("x", maxDates+1)
	r, _, err := parseRecord(appendSegment(nil, &long, 0))
	if err != nil || r.segment.Dates != "" {
		t.Errorf("%v, %d bytes of dates", err, len(r.segment.Dates))
	}
	long.Dates = strings.Repeat("x", maxDates)
	if r, _, err = parseRecord(appendSegment(nil, &long, 0)); err != nil || r.segment.Dates != long.Dates {
		t.Errorf("%v, %d bytes of dates", err, len(r.segment.Dates))
	}
	for name, e := range map[string]Segment{
		"negative number":   {Seq: -1},
		"huge number":       {Seq: 1<<60 + 1},
		"key beyond size":   {Size: 1, Key: 2},
		"negative duration": {Duration: -1},
		"negative target":   {Target: -1},
	} {
		if _, _, err := parseRecord(appendSegment(nil, &e, 7)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	for name, b := range map[string][]byte{
		"zeros":        make([]byte, 4096),
		"unknown kind": seal(append(make([]byte, frameSize), 9, 0, 0, 0, 0, 0, 0, 0, 0), 0),
		"length lies":  {0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 1},
	} {
		if _, _, err := parseRecord(b); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// TestSegmentMemory: a stored segment takes its place in a list and in the order of all.
func TestSegmentMemory(t *testing.T) {
	if size := unsafe.Sizeof(Segment{}) + unsafe.Sizeof(&shelf{}); size > 112 {
		t.Errorf("a segment takes %d bytes", size)
	}
}

// FuzzRestore reads indexes of all shapes over folders that have some of the segments. The list's
// numbers rise by one, what is there has its files, and writing the list again gives the same list.
func FuzzRestore(f *testing.F) {
	a, b := seg(7), seg(9)
	a.Size, b.Size = 5, 5
	f.Add(appendSegment(appendSegment(nil, &a, 3), &b, 3))
	f.Add(appendMark(appendSegment(appendMark(nil, beginRecord, 7), &a, 3), endRecord, 8))
	f.Add(appendSegment(nil, &b, 3)[:50])
	f.Fuzz(func(t *testing.T, data []byte) {
		c := contents{segments: map[int64]int64{7: 5, 8: 5, 9: 4, 100: 0}, inits: map[int64]int64{0: 3, 100: 3}}
		sh := &shelf{}
		sh.restore(data, &c)
		if max := int64(len(data)/segmentFixed+1) * (maxFill + 1); sh.list.len() > max {
			t.Fatalf("%d segments from %d bytes", sh.list.len(), len(data))
		}
		var again []byte
		for seq := sh.list.first; seq < sh.list.end; seq++ {
			e := sh.list.at(seq)
			if e.Seq != seq || e.written == e.Gap || e.written && c.segments[seq] != e.Size {
				t.Fatalf("segment %d: %+v", seq, e)
			}
			again = appendSegment(again, e, 3)
		}
		other := &shelf{}
		other.restore(again, &c)
		for seq := sh.list.first; seq < sh.list.end; seq++ {
			if e := other.list.at(seq); e == nil || *e != *sh.list.at(seq) {
				t.Fatalf("segment %d: %+v became %+v", seq, sh.list.at(seq), e)
			}
		}
	})
}
