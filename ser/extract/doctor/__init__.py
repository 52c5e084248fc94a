"""What `ser doctor` looks at: packages, hardware, caches and the workspace, and what to do about each finding."""
