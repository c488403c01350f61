package playlist

import (
	"testing"

	"livego/internal/property"
)

func TestMain(m *testing.M) {
	property.Fix()
	m.Run()
}
