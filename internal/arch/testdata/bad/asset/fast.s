// Assembly does not belong on a pure floor.
