"""tinydx_lessons: the course, one marimo notebook for each lesson, and its glossary, which `tinydx lesson` reads."""
