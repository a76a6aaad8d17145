# The one row that shows who was looked at and how.
.
