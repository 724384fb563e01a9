"""What people see: tables, colours, marks, a pager, progress; and text that is safe to show."""
