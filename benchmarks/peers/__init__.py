"""Other stores, a file each, and what it takes to set them beside ours."""
