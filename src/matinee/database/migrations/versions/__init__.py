"""One file a step; its name says what the step does, and it is never changed once it was released."""
