"""What a saved head is asked, and what it answers, around `ser.predict`."""
