package cluster

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestRevoked: what one node revokes the others read, once for each change, without what is over.
func TestRevoked(t *testing.T) {
	forEach(t, func(t *testing.T, b backend) {
		later := time.UnixMilli(time.Now().Add(time.Hour).UnixMilli())
		all, version, err := b.Revoked(t.Context(), "")
		if err != nil || len(all) > 0 {
			t.Fatalf("at first: %v, %v", all, err)
		}
		for id, until := range map[string]time.Time{"good for an hour": later, "for good": {}, "over": time.Now().Add(-time.Hour)} {
			if err := b.Revoke(t.Context(), id, until); err != nil {
				t.Fatal(err)
			}
		}
		all, next, err := b.Revoked(t.Context(), version)
		if diff := cmp.Diff(map[string]time.Time{"good for an hour": later, "for good": {}}, all); diff != "" || err != nil || next == version {
			t.Errorf("revoked (-want +got): %s (%v)", diff, err)
		}
		if again, same, err := b.Revoked(t.Context(), next); again != nil || same != next || err != nil {
			t.Errorf("without a change: %v %q %v", again, same, err)
		}
	})
}
