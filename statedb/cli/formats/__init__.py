"""What goes into a store and out of one: lines, a file's history in git, folders of files."""
