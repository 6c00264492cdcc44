"""What is behind `gateway/provisioner.py`: which database, and each of its calls as an answer that never raises."""
