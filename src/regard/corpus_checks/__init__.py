"""Find faults in a parallel corpus before training, and write the corpus without the faulty pairs."""
