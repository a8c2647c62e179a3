package main

import "testing"

func TestTruncate(t *testing.T) {
	for _, tt := range []struct {
		text string
		room int
		want string
	}{
		{"build", 6, "build"},
		{"build", 5, "bui…"},
		{"建造中", 7, "建造中"},
		{"建造中", 6, "建造…"},
		{"建造中", 5, "建…"},
		{"e\u0301te\u0301", 4, "e\u0301te\u0301"},
		{"✅ passed", 8, "✅ pas…"},
		{"❤️❤️", 4, "❤️…"},
		{"build", 0, "…"},
		{"", 0, ""},
	} {
		if got := truncate(tt.text, tt.room); got != tt.want {
			t.Errorf("truncate(%q, %d): got %q, want %q", tt.text, tt.room, got, tt.want)
		}
	}
}
