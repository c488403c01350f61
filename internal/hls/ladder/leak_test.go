package ladder

import (
	"testing"

	"go.uber.org/goleak"

	"livego/internal/property"
)

func TestMain(m *testing.M) {
	property.Fix()
	goleak.VerifyTestMain(m)
}
