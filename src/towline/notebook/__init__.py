"""The notebook in step with the project: what runs inside the kernel."""
