"""What spans tenancy and engagement: provisioning, test clocks, the platform API."""
