"""tinydx_lessons: the course, one marimo notebook a lesson, and its glossary; `tinydx lesson` finds them here."""
